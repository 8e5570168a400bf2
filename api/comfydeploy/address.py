"""Where the API begins, from what the setting says: by rule, so that nothing is tried out at run time."""

from urllib.parse import urlsplit, urlunsplit

from ..errors import InvalidSettings

DEFAULT_URL = "https://api.comfydeploy.com"
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def base_url(url: str, prefix: str = "/api") -> str:
    """The URL all paths are put behind, without a slash at its end: `prefix` is appended unless it is there.

    Raises InvalidSettings for what is no http(s) address, or holds credentials, a query or a fragment.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidSettings(f"COMFY_DEPLOY_API_URL must be an http(s) URL, such as {DEFAULT_URL}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidSettings("COMFY_DEPLOY_API_URL takes no user name, query or fragment; set COMFY_DEPLOY_API_KEY.")
    path, wanted = parts.path.rstrip("/"), f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    if wanted and not path.endswith(wanted):
        path += wanted
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def own_host(url: str) -> str:
    """Host and port of the address, as InputPolicy's exemptions name them, where it is on this machine; else ""."""
    parts = urlsplit(url)
    if parts.hostname not in _LOCAL:
        return ""
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
