"""The interactive documentation at /docs. Swagger UI comes from this worker, never from a CDN: its box may be alone."""

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

# For the door: what can be done here is no secret.
OPEN_BELOW = ("/docs",)
_ASSETS = "/docs/assets"
# Its page configures Swagger UI by a script in itself. Whatever else it may load or ask is on this server.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def router(title: str) -> APIRouter:
    """/docs and the files it needs."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=title,
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

    routes.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))
    return routes
