import datetime
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted_site import HOST, Site, Visit, answer, drip, in_turn, redirect, serving
from support.waiting import wait_for

from api.errors import (
    DiskFull,
    InputNotFound,
    InputTooLarge,
    InputUnavailable,
    InputUrlRefused,
    InvalidInputFile,
    JobCancelled,
)
from api.inputs.addresses import AddressGuard
from api.inputs.download import Downloader
from api.inputs.policy import InputPolicy
from api.inputs.resolve import InputResolver
from api.inputs.spool import SizeLimit
from api.jobs.cancel import CancelToken
from api.jobs.request import ImageSpec

PATIENT_S = 30.0


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def downloader(lookup=to_loopback, public=None, tls=None, hosts=(f"{HOST}:*",), **policy) -> Downloader:
    settings = InputPolicy(**{"retry_wait_s": 0.0, "timeout_s": PATIENT_S, **policy})
    return Downloader(settings, AddressGuard(settings.allow_private, hosts, lookup, public), tls)


def fetch(url: str, tmp_path: Path, max_bytes: int = 10_000_000, cancel: CancelToken | None = None, **more) -> bytes:
    limit = SizeLimit("images.0.image", max_bytes, "MAX_INPUT_FILE_MB")
    fetched = downloader(**more).fetch(url, tmp_path / "file", limit, cancel or CancelToken())
    content = (tmp_path / "file").read_bytes()
    assert fetched.spool.sha256 == hashlib.sha256(content).hexdigest()
    return content


def test_a_file_arrives_whole(site, tmp_path):
    body = bytes(range(256)) * 8000
    site.pages["/a.bin"] = answer(body, Content_Type="Image/PNG; charset=x")
    limit = SizeLimit("f", 10_000_000, "X")
    fetched = downloader().fetch(site.url("/a.bin?sig=1%2B1"), tmp_path / "file", limit, CancelToken())
    assert (tmp_path / "file").read_bytes() == body
    assert (fetched.media_type, fetched.spool.size_bytes) == ("image/png", len(body))
    assert site.visits[0].target == "/a.bin?sig=1%2B1"
    assert site.visits[0].headers["host"] == f"{HOST}:{site.port}"
    assert site.visits[0].headers["accept-encoding"] == "identity"


def test_chunked_and_unannounced_lengths(site, tmp_path):
    site.pages["/chunked"] = lambda visit: visit.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    site.pages["/open"] = lambda visit: visit.send(b"HTTP/1.0 200 OK\r\n\r\nabcde")
    assert fetch(site.url("/chunked"), tmp_path) == b"abcde"
    assert fetch(site.url("/open"), tmp_path) == b"abcde"


def test_the_environments_proxies_are_not_used(site, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    site.pages["/a"] = answer()
    assert fetch(site.url("/a"), tmp_path) == b"content"


# --- where it may go


@pytest.mark.parametrize("host", ["private.test", "127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_private_addresses_are_refused_unseen(site, tmp_path, host):
    site.pages["/a"] = answer()
    with pytest.raises(InputUrlRefused, match="private, local or reserved") as caught:
        fetch(site.url("/a?token=hush", host), tmp_path)
    assert site.visits == []
    assert caught.value.details[0]["field"] == "images.0.image"
    assert "hush" not in caught.value.message


def test_private_addresses_can_be_allowed(site, tmp_path):
    site.pages["/a"] = answer()
    assert fetch(site.url("/a", "127.0.0.1"), tmp_path, allow_private=True) == b"content"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Again", "308 For Good"])
def test_redirects_are_followed(site, tmp_path, status):
    site.pages["/a"] = redirect("/b?x=1", status)
    site.pages["/b"] = answer()
    assert fetch(site.url("/a"), tmp_path) == b"content"
    assert site.paths() == ["/a", "/b?x=1"]


@pytest.mark.parametrize(
    "location",
    [
        "http://private.test:{port}/b",
        "http://127.0.0.1:{port}/b",
        "http://169.254.169.254/latest/meta-data/",
        "//[::ffff:127.0.0.1]:{port}/b",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/b",
    ],
)
def test_redirects_to_private_addresses_are_refused(site, tmp_path, location):
    site.pages["/a"] = redirect(location.format(port=site.port))
    site.pages["/b"] = answer()

    def lookup(host: str, port: int) -> list[str]:
        return [host] if host[0].isdigit() or ":" in host else ["127.0.0.1"]

    with pytest.raises(InputUrlRefused):
        fetch(site.url("/a"), tmp_path, lookup=lookup)
    assert site.paths() == ["/a"]


def test_redirects_end(site, tmp_path):
    site.pages["/a"] = redirect("/a")
    with pytest.raises(InputUrlRefused, match="more than 5 times"):
        fetch(site.url("/a"), tmp_path)
    assert len(site.visits) == 6


def test_a_redirect_to_nowhere(site, tmp_path):
    site.pages["/a"] = redirect("")
    with pytest.raises(InputUnavailable, match="without saying where"):
        fetch(site.url("/a"), tmp_path)


def test_credentials_stay_with_their_host(site, tmp_path):
    site.pages["/a"] = redirect("/b")
    site.pages["/b"] = redirect(site.url("/c", "other.test"))
    site.pages["/c"] = answer()
    url = site.url("/a").replace("//", "//user:secret@")
    assert fetch(url, tmp_path, hosts=(f"{HOST}:*", "other.test:*")) == b"content"
    assert [visit.headers.get("authorization") for visit in site.visits] == ["Basic dXNlcjpzZWNyZXQ="] * 2 + [None]


class Rebinding:
    """A name server that answers harmlessly when it is asked first, and otherwise later."""

    def __init__(self) -> None:
        self.answers = iter([["127.0.0.1"]])
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return next(self.answers, ["127.0.0.2"])


def only_the_first(address: str) -> bool:
    return address == "127.0.0.1"


def test_the_connection_goes_to_the_address_that_was_checked(site, tmp_path):
    site.pages["/a"] = answer(b"harmless")
    lookup = Rebinding()
    with serving("127.0.0.2", port=site.port) as internal:
        internal.pages["/a"] = answer(b"internal secret")
        assert fetch(site.url("/a"), tmp_path, lookup=lookup, public=only_the_first, hosts=()) == b"harmless"
        assert internal.visits == []
    assert lookup.asked == 1


@pytest.mark.parametrize("first", [redirect("/a"), answer(b"", "503 Busy")])
def test_a_name_that_changes_its_address_is_checked_again(site, tmp_path, first):
    site.pages["/a"] = first
    with serving("127.0.0.2", port=site.port) as internal:
        internal.pages["/a"] = answer(b"internal secret")
        with pytest.raises(InputUrlRefused):
            fetch(site.url("/a"), tmp_path, lookup=Rebinding(), public=only_the_first, hosts=())
        assert internal.visits == []


def test_the_next_address_is_tried_when_one_is_dead(site, tmp_path):
    site.pages["/a"] = answer()
    assert fetch(site.url("/a"), tmp_path, lookup=lambda host, port: ["127.0.0.3", "127.0.0.1"]) == b"content"


# --- what goes wrong on the way


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad", "503 Busy", "429 Slow Down", "408 Late"])
def test_passing_troubles_are_tried_again(site, tmp_path, status):
    site.pages["/a"] = in_turn(answer(b"error page", status), answer(b"error page", status), answer(b"at last"))
    assert fetch(site.url("/a"), tmp_path) == b"at last"
    assert len(site.visits) == 3


def test_troubles_that_stay(site, tmp_path):
    site.pages["/a"] = answer(b"", "503 Busy")
    with pytest.raises(InputUnavailable, match="HTTP 503") as caught:
        fetch(site.url("/a?sig=hush").replace("//", "//user:pw@"), tmp_path)
    assert len(site.visits) == 3
    assert site.url("/a") in caught.value.message
    assert not any(secret in caught.value.message for secret in ("hush", "user", "pw@"))


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "401 Who", "410 Gone"])
def test_refusals_are_not_tried_again_by_anyone(site, tmp_path, status):
    site.pages["/a"] = answer(b"", status)
    with pytest.raises(InputNotFound, match=f"HTTP {status[:3]}") as caught:
        fetch(site.url("/a"), tmp_path)
    assert len(site.visits) == 1
    assert not caught.value.retryable
    assert caught.value.details[0]["field"] == "images.0.image"


def test_an_answer_without_a_file_is_not_tried_again(site, tmp_path):
    site.pages["/a"] = answer(b"", "304 Same")
    with pytest.raises(InputUnavailable, match="HTTP 304") as caught:
        fetch(site.url("/a"), tmp_path)
    assert len(site.visits) == 1
    assert type(caught.value) is InputUnavailable


def test_a_body_shorter_than_announced_is_fetched_again(site, tmp_path):
    site.pages["/a"] = in_turn(answer(b"half", Content_Length="8"), answer(b"the whole"))
    assert fetch(site.url("/a"), tmp_path) == b"the whole"


def test_a_body_that_is_always_shorter(site, tmp_path):
    site.pages["/a"] = answer(b"half", Content_Length="8")
    with pytest.raises(InputUnavailable, match="broke off after 4 of 8 bytes"):
        fetch(site.url("/a"), tmp_path)


def test_what_comes_after_the_announced_length_is_not_read(site, tmp_path):
    site.pages["/a"] = answer(b"content and more", Content_Length="7")
    assert fetch(site.url("/a"), tmp_path) == b"content"


def test_an_announced_size_over_the_limit_is_not_read(site, tmp_path):
    site.pages["/a"] = answer(b"x" * 100, Content_Length="1001")
    with pytest.raises(InputTooLarge, match="larger than 1,000 bytes"):
        fetch(site.url("/a"), tmp_path, max_bytes=1000)
    assert len(site.visits) == 1
    assert not (tmp_path / "file").exists()


def test_a_body_without_end_stops_at_the_limit(site, tmp_path):
    def endless(visit: Visit) -> None:
        visit.send(b"HTTP/1.0 200 OK\r\n\r\n")
        while not visit.released.is_set():
            visit.send(b"x" * 100_000)

    site.pages["/a"] = endless
    with pytest.raises(InputTooLarge):
        fetch(site.url("/a"), tmp_path, max_bytes=1_000_000)
    assert (tmp_path / "file").stat().st_size <= 1_000_000


@pytest.mark.parametrize(
    "rubbish", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_servers_that_do_not_speak_http(site, tmp_path, rubbish):
    site.pages["/a"] = lambda visit: visit.send(rubbish)
    with pytest.raises(InputUnavailable):
        fetch(site.url("/a"), tmp_path)
    assert len(site.visits) == 3


def test_compressed_bodies_are_not_taken(site, tmp_path):
    site.pages["/a"] = answer(b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(InputUnavailable, match="compressed"):
        fetch(site.url("/a"), tmp_path)


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(InputUnavailable, match="no connection"):
        fetch(f"http://{HOST}:{port}/", tmp_path)


def test_a_name_that_does_not_resolve(tmp_path):
    def lookup(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(InputUnavailable, match=f"http://{HOST}/a: its host name cannot be resolved"):
        fetch(f"http://{HOST}/a", tmp_path, lookup=lookup)


def test_a_full_disk(site, tmp_path):
    (tmp_path / "file").symlink_to("/dev/full")
    site.pages["/a"] = answer(b"x" * 100_000)
    with pytest.raises(DiskFull):
        fetch(site.url("/a"), tmp_path)
    assert len(site.visits) == 1


# --- time


@pytest.mark.parametrize(
    "page",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: yes\r\n"),
        drip(b"", b"H"),
    ],
    ids=["body", "body without length", "headers", "status line"],
)
def test_the_time_limit_holds_however_slowly_it_comes(site, tmp_path, page):
    site.pages["/a"] = page
    started = time.monotonic()
    with pytest.raises(InputUnavailable, match=r"longer than 0\.3 s"):
        fetch(site.url("/a"), tmp_path, timeout_s=0.3)
    assert time.monotonic() - started < 5
    assert len(site.visits) == 1


def test_silence_is_bounded_too(site, tmp_path):
    site.pages["/a"] = lambda visit: visit.released.wait()
    with pytest.raises(InputUnavailable, match="did not answer in time"):
        fetch(site.url("/a"), tmp_path, read_timeout_s=0.05, attempts=2)
    assert len(site.visits) == 2


def test_waiting_for_another_try_counts_as_well(site, tmp_path):
    site.pages["/a"] = answer(b"", "503 Busy")
    with pytest.raises(InputUnavailable, match="longer than"):
        fetch(site.url("/a"), tmp_path, timeout_s=0.1, retry_wait_s=60.0)
    assert len(site.visits) == 1


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.0 200 OK\r\n\r\nabc"]
)
def test_a_cancel_interrupts_a_stalled_transfer(site, tmp_path, sent):
    cancel = CancelToken()

    def stall(visit: Visit) -> None:
        visit.send(sent)
        cancel.cancel()
        visit.released.wait()

    site.pages["/a"] = stall
    started = time.monotonic()
    with pytest.raises(JobCancelled):
        fetch(site.url("/a"), tmp_path, cancel=cancel)
    assert time.monotonic() - started < 5


def test_no_threads_stay_behind(site, tmp_path):
    site.pages["/a"] = answer()
    before = threading.active_count()
    for _ in range(5):
        fetch(site.url("/a"), tmp_path)
    wait_for(lambda: threading.active_count() <= before, "the end of all threads")


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext, list[str | None]]:
    """Contexts of a server called files.test and of a client that trusts it, and the names clients asked for."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    names: list[str | None] = []
    server.sni_callback = lambda connection, name, context: names.append(name)
    return server, ssl.create_default_context(cafile=str(pem)), names


def test_https_keeps_the_name_though_the_address_is_pinned(authority, tmp_path):
    server, client, names = authority
    with serving(tls=server) as site:
        site.pages["/a"] = answer()
        assert fetch(site.url("/a", scheme="https"), tmp_path, tls=client) == b"content"
    assert names[-1] == HOST
    assert site.visits[0].headers["host"] == f"{HOST}:{site.port}"


def test_a_certificate_for_another_name(authority, tmp_path):
    server, client, _ = authority
    with serving(tls=server) as site, pytest.raises(InputUnavailable, match="certificate"):
        fetch(site.url("/a", "other.test", "https"), tmp_path, tls=client, hosts=("other.test:*",))


def test_a_certificate_nobody_knows(authority, tmp_path):
    with serving(tls=authority[0]) as site, pytest.raises(InputUnavailable, match="certificate"):
        fetch(site.url("/a", scheme="https"), tmp_path)


def test_a_cancel_interrupts_tls_as_well(authority, tmp_path):
    server, client, _ = authority
    cancel = CancelToken()

    def stall(visit: Visit) -> None:
        visit.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        cancel.cancel()
        visit.released.wait()

    with serving(tls=server) as site:
        site.pages["/a"] = stall
        with pytest.raises(JobCancelled):
            fetch(site.url("/a", scheme="https"), tmp_path, tls=client, cancel=cancel)


# --- through the resolver


def resolve(url: str, tmp_path: Path, name: str = "a.png") -> Any:
    policy = InputPolicy(allowed_hosts=(f"{HOST}:*",), retry_wait_s=0.0)
    spec = ImageSpec(name, url, "images.0")
    return InputResolver(policy, lookup=to_loopback).resolve([spec], tmp_path, CancelToken())


def test_the_urls_of_a_job_share_one_deadline(site, tmp_path):
    stalled = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x")
    site.pages["/a"], site.pages["/b"] = answer(b"first"), stalled
    policy = InputPolicy(allowed_hosts=(f"{HOST}:*",), timeout_s=PATIENT_S, total_timeout_s=0.5)
    specs = [ImageSpec(name, site.url(f"/{name}"), f"images.{index}") for index, name in enumerate(["a", "b", "c"])]
    with pytest.raises(InputUnavailable, match=r"longer than 0\.5 s together") as caught:
        InputResolver(policy, lookup=to_loopback).resolve(specs, tmp_path, CancelToken())
    assert caught.value.details[0]["field"] == "images.1.image"
    assert site.paths() == ["/a", "/b"]


def test_an_error_page_is_no_picture(site, tmp_path):
    site.pages["/a.png"] = answer(b"<html>please log in</html>", Content_Type="text/html")
    with pytest.raises(InvalidInputFile, match="should be a picture"):
        resolve(site.url("/a.png"), tmp_path)


def test_the_servers_media_type_counts_where_the_name_has_none(site, tmp_path):
    site.pages["/a"] = answer(b"not a picture", Content_Type="image/jpeg")
    with pytest.raises(InvalidInputFile):
        resolve(site.url("/a"), tmp_path, "face")
    site.pages["/b"] = answer(b"bytes", Content_Type="video/mp4")
    assert resolve(site.url("/b"), tmp_path, "clip")[0].mime_type == "video/mp4"


def test_an_empty_file(site, tmp_path):
    site.pages["/a"] = answer(b"")
    with pytest.raises(InvalidInputFile, match="empty"):
        resolve(site.url("/a"), tmp_path)
