"""An endpoint that answers as none should: slowly, for ever, or with words where numbers belong."""

import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.remote_front import RemoteFront
from support.scripted_site import Site, Visit, answer, drip, serving

from api.errors import ComfyUnreachable, InvalidSettings, JobCancelled
from api.ids import InstanceName
from api.jobs.cancel import CancelToken
from api.remote.endpoint import Endpoint, Place
from api.remote.patience import Patience

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def endpoint(url: str, key: str | None = None, **headers: str) -> Endpoint:
    return Endpoint(Place(InstanceName("far"), url, key, headers), connections=2, patience_s=1)


@pytest.mark.parametrize("page", [drip(HEAD, b" "), drip(CHUNKED, b"1\r\n \r\n")])
def test_an_answer_that_comes_byte_by_byte_can_be_cancelled(site: Site, page: Any) -> None:
    site.pages["/slow"] = page
    token = CancelToken()
    timer = threading.Timer(0.2, token.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        endpoint(site.url("", "127.0.0.1")).call("GET", "/slow", Patience(token))
    # It would take hours to come to its end, or to fill a buffer.
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_id_of_what_was_accepted_is_heard_out(site: Site, method: str) -> None:
    token = CancelToken()

    def accepted(visit: Visit) -> None:
        token.cancel()
        answer(b'{"id": "r-1"}')(visit)

    site.pages["/run"] = accepted
    asked = functools.partial(endpoint(site.url("", "127.0.0.1")).call, method, "/run", Patience(token), content={})
    if method == "POST":
        assert asked().content == {"id": "r-1"}
    else:
        with pytest.raises(JobCancelled):
            asked()


def test_an_answer_that_is_cut_short_is_asked_for_again(site: Site) -> None:
    site.pages["/cut"] = answer(b'{"a": 1}', Content_Length="4000")
    with pytest.raises(ComfyUnreachable, match="the connection broke off"):
        endpoint(site.url("", "127.0.0.1")).call("GET", "/cut", Patience(CancelToken()), limit_s=0)


def test_connections_are_kept() -> None:
    with RemoteFront() as front:
        ports = set()
        front.will("GET /", times=None, content={"a": 1})
        kept = endpoint(front.url)
        for _ in range(3):
            assert kept.call("GET", "/x", Patience(CancelToken())).content == {"a": 1}
            ports |= {each.port for each in front.seen()}
        kept.close()
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("url", "key", "headers"),
    [
        (f"http://{'a' * 64}.example", None, {}),
        ("http://a..example", None, {}),
        ("http://gpu.example", "key-with-a-line-break\n", {}),
        ("http://gpu.example", "schlüssel", {}),
        ("http://gpu.example", None, {"X-More": "a\r\nX-Other: b"}),
    ],
)
def test_what_could_never_be_sent_is_refused_at_the_start(url: str, key: str | None, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        endpoint(url, key, **headers)
    assert "line-break" not in str(refusal.value) and "schl" not in str(refusal.value)
