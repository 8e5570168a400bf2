"""Debian's Chromium on a page of the worker: `with chromium() as browser: visit = Visit(browser, url)`.

A Visit notes what a good page never does: errors in the console, requests to other hosts, keys in addresses.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Request

CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).resolve().parents[2]
# What pictures of the page are kept in; git does not look at it.
SHOTS = ROOT / "test_artifacts"
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_WAIT_MS = 20_000
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="needs Chromium (apt-get install chromium) and Playwright (make setup)",
)


@contextmanager
def chromium() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


class Visit:
    """One person at the page, in a context of their own or in one that is shared and has the page's files already.

    `forgiven` are statuses whose failed requests are meant.
    """

    def __init__(
        self,
        browser: "Browser",
        url: str,
        *,
        shared: "BrowserContext | None" = None,
        viewport: Mapping[str, int] = DESKTOP,
        scheme: str = "light",
        forgiven: tuple[int, ...] = (),
        **options: Any,
    ) -> None:
        self.url = url
        self.faults: list[str] = []
        self.addresses: list[str] = []
        self._forgiven = tuple(f"status of {status}" for status in forgiven)
        self._own = None if shared else browser.new_context(viewport=dict(viewport), color_scheme=scheme, **options)
        self.page = (shared or self._own).new_page()  # type: ignore[union-attr]
        self.page.set_default_timeout(_WAIT_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._note)
        self.page.on("websocket", lambda socket: self._note_address(socket.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self._own or self.page).close()
        if kind is None:
            assert self.faults == []

    def open(self, view: str = "", *, live: bool = True) -> None:
        """Go to a view, and with `live` until the page hears of all jobs."""
        self.page.goto(f"{self.url}/{view}")
        if live:
            self.page.wait_for_selector("#link-state[data-state=live]")

    def give(self, *files: tuple[str, str, bytes]) -> None:
        """Choose files (name, type, content) in the composer, as dropping them does."""
        payload = [{"name": name, "mimeType": kind, "buffer": content} for name, kind, content in files]
        self.page.set_input_files("#composer > input[type=file]", payload)

    def load(self, workflow: Mapping[str, Any], name: str = "workflow") -> None:
        """Open a workflow, until its form stands."""
        self.give((f"{name}.json", "application/json", json.dumps(workflow).encode()))
        self.page.wait_for_function("name => document.getElementById('job-name').value === name", arg=name)
        self.page.wait_for_selector(".actions:not([hidden])")

    def run(self) -> str:
        """Press Run; the id of the job."""
        before = self.page.url
        self.page.click("#run")
        self.page.wait_for_function(
            "before => location.href !== before && location.hash.startsWith('#job/')", arg=before
        )
        return self.page.url.rpartition("/")[2]

    def state(self, word: str) -> None:
        """Until the job on the stage is in that state."""
        self.page.wait_for_function(
            "word => document.querySelector('.job .pill')?.textContent === word", arg=word, timeout=_WAIT_MS
        )

    def paste(self, text: str) -> None:
        script = """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const options = {clipboardData: data, bubbles: true, cancelable: true};
            document.body.dispatchEvent(new ClipboardEvent("paste", options));
        }"""
        self.page.evaluate(script, text)

    def drop(self, selector: str, name: str, kind: str, content: bytes) -> None:
        """Drop a file onto the element."""
        script = """([selector, name, type, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type}));
            const target = document.querySelector(selector);
            for (const kind of ["dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
        }"""
        self.page.evaluate(script, [selector, name, kind, list(content)])

    def shot(self, name: str) -> None:
        """Keep a picture of the page."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def _hear(self, message: "ConsoleMessage") -> None:
        if message.type in {"error", "warning"} and not any(each in message.text for each in self._forgiven):
            self.faults.append(f"{message.type}: {message.text}")

    def _note(self, request: "Request") -> None:
        self._note_address(request.url)

    def _note_address(self, address: str) -> None:
        self.addresses.append(address)
        parts = urlsplit(address)
        if parts.scheme not in {"blob", "data"} and parts.netloc != urlsplit(self.url).netloc:
            self.faults.append(f"a request to {address}")
