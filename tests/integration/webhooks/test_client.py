"""Webhooks over real sockets: where they may go, what is sent, and how each end is called."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from support.raw_server import RawServer, Reply, status
from support.scripted_site import Site, drip, serving
from support.waiting import wait_for
from support.webhook_receiver import Receiver, receiving

from api.errors import InvalidInput, WorkerStopping
from api.inputs.addresses import AddressGuard
from api.jobs.cancel import CancelToken
from api.jobs.webhook_schedule import Answer
from api.webhook_client import WebhookClient

PATIENT_S = 30.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def client(
    private: bool = True,
    hosts: Sequence[str] = (),
    lookup: Callable[[str, int], Sequence[str]] | None = None,
    public: Callable[[str], bool] | None = None,
    **more: float,
) -> WebhookClient:
    guard = AddressGuard(private, hosts, public=public, **({"lookup": lookup} if lookup else {}))
    return WebhookClient(guard, **{"timeout_s": PATIENT_S, **more})


def post(url: str, body: bytes = b"{}", of: WebhookClient | None = None, cancel: CancelToken | None = None) -> Answer:
    headers = {"Content-Type": "application/json", "webhook-id": "msg_1"}
    return (of or client()).post(url, headers, body, cancel or CancelToken())


# --- what is sent


def test_it_is_posted_as_it_is(receiver: Receiver) -> None:
    body = bytes(range(256)) * 20_000
    assert post(receiver.url("/a%20b/ü?token=1%2B1&x"), body) == Answer(204)
    (found,) = receiver.received
    assert (found.body, found.path) == (body, "/a%20b/%C3%BC?token=1%2B1&x")
    assert found.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert found.headers["content-type"] == "application/json"
    assert found.headers["webhook-id"] == "msg_1"
    assert found.headers["content-length"] == str(len(body))


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert post(receiver.url()).delivered


# --- what comes back


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.replies = [(307, {"Location": receiver.url("/elsewhere")})]
    assert post(receiver.url()) == Answer(307)
    assert [found.path for found in receiver.received] == ["/hook"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Tue, 14 Nov 2023 22:23:20 GMT", 600.0),
        ("Tue, 14 Nov 2000 22:23:20 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after_is_read(receiver: Receiver, value: str, seconds: float | None) -> None:
    receiver.replies = [(503, {"Retry-After": value})]
    assert post(receiver.url(), of=client(clock=lambda: 1_700_000_000.0)) == Answer(503, retry_after_s=seconds)


def test_an_endless_answer_is_cut(site: Site) -> None:
    def endless(visit: object) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\n\r\n")  # type: ignore[attr-defined]
        while True:
            visit.send(b"x" * 65_536)  # type: ignore[attr-defined]

    site.pages["/a"] = endless
    assert post(site.url("/a", "127.0.0.1")) == Answer(200)


@pytest.mark.parametrize(
    ("head", "piece"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["nothing", "a header without end", "continues without end"],
)
def test_no_answer_in_time(site: Site, head: bytes, piece: bytes) -> None:
    site.pages["/a"] = drip(head, piece)
    began = time.monotonic()
    assert post(site.url("/a", "127.0.0.1"), of=client(timeout_s=0.3)) == Answer(None, "no answer within 0.3 s")
    assert time.monotonic() - began < 5


def test_an_answer_that_drips_counts_by_its_status(site: Site) -> None:
    site.pages["/a"] = drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    assert post(site.url("/a", "127.0.0.1"), of=client(timeout_s=0.3)) == Answer(200)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"SSH-2.0-OpenSSH\r\n", "close"), "it does not answer as HTTP does"),
        (Reply(b"", "close"), "no connection (RemoteDisconnected)"),
        (Reply(b"", "reset"), "no connection (ConnectionResetError)"),
    ],
)
def test_what_is_not_an_answer(reply: Reply, reason: str) -> None:
    with RawServer([reply]) as server:
        assert post(server.url) == Answer(None, reason)


def test_nobody_listens() -> None:
    with RawServer([Reply(status(200))]) as server:
        url = server.url
    assert post(url) == Answer(None, "no connection (ConnectionRefusedError)")


def test_a_name_that_does_not_resolve() -> None:
    assert post("http://nowhere.invalid/", of=client()) == Answer(None, "its host name cannot be resolved")


def test_https_wants_tls(receiver: Receiver) -> None:
    assert post(receiver.url().replace("http:", "https:")).outcome == "no connection (SSLError)"


def test_a_tls_handshake_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        began = time.monotonic()
        assert post(url, of=client(timeout_s=0.3)) == Answer(None, "no answer within 0.3 s")
    assert time.monotonic() - began < 5


def test_a_cancel_ends_it_at_once(receiver: Receiver) -> None:
    cancel, raised = CancelToken(), []

    def run() -> None:
        with pytest.raises(WorkerStopping) as caught:
            post(receiver.url("/hang"), cancel=cancel)
        raised.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    receiver.wait()
    cancel.cancel(WorkerStopping("The worker is shutting down."))
    thread.join(5)
    assert raised


# --- where it may go


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_refused_unseen(receiver: Receiver, host: str) -> None:
    url = receiver.url("/hook?token=hush", host)
    with pytest.raises(InvalidInput, match="WEBHOOK_ALLOW_PRIVATE") as caught:
        client(private=False).check(url)
    assert caught.value.details[0]["field"] == "webhook"
    assert "hush" not in caught.value.message
    answer = post(url, of=client(private=False))
    assert answer.outcome.startswith("not sent: it leads to a private")
    assert receiver.received == []


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.5", "100.64.0.1", "fd00::1", "fe80::1", "0.0.0.0"])
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="private, local or reserved"):
        client(private=False, lookup=lambda host, port: ["93.184.216.34", address]).check("https://a.test/")


def test_allowed_hosts_are_exempt(receiver: Receiver) -> None:
    exempt = client(private=False, hosts=("hook.lan:*",), lookup=lambda host, port: ["127.0.0.1"])
    exempt.check(receiver.url(host="hook.lan"))
    assert post(receiver.url(host="hook.lan"), of=exempt).delivered
    with pytest.raises(InvalidInput):
        exempt.check(receiver.url(host="other.lan"))


def test_a_name_that_leads_elsewhere_by_then_is_caught(receiver: Receiver) -> None:
    # Public for the check, private for the POST: what was checked is looked at again, and not a third time.
    leads_to = [["93.184.216.34"], ["127.0.0.1"]]
    rebound = client(private=False, lookup=lambda host, port: leads_to.pop(0))
    rebound.check(receiver.url(host="rebind.test"))
    assert not post(receiver.url(host="rebind.test"), of=rebound).delivered
    assert receiver.received == []


def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    pinned = client(private=False, lookup=lookup, public=lambda address: address == "127.0.0.1")
    assert post(receiver.url(host="pinned.invalid"), of=pinned).delivered
    assert asked == ["pinned.invalid"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (None, "webhook_invalid"),
        (5, "webhook_invalid"),
        ("", "webhook_scheme"),
        ("example.com/hook", "webhook_scheme"),
        ("ftp://example.com/", "webhook_scheme"),
        ("file:///etc/passwd", "webhook_scheme"),
        ("javascript:alert(1)", "webhook_scheme"),
        ("https://", "webhook_invalid"),
        ("https://exa mple.com/", "webhook_invalid"),
        ("https://[::1/", "webhook_invalid"),
        ("https://example.com:99999/", "webhook_invalid"),
        ("https://" + "a" * 64 + ".com/", "webhook_invalid"),
        ("https://example.com/\ud800", "webhook_invalid"),
        ("https://me:hush@example.com/", "webhook_credentials"),
        ("https://hush@example.com/", "webhook_credentials"),
        ("https://example.com/" + "x" * 2100, "webhook_too_long"),
    ],
)
def test_what_is_no_address_is_refused(url: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        client().check(url)
    (detail,) = caught.value.details
    assert (detail["field"], detail["code"]) == ("webhook", code)
    assert "hush" not in caught.value.message
    caught.value.message.encode()


def test_an_address_that_became_invalid_is_given_up() -> None:
    assert post("ftp://example.com/").final


def test_a_name_that_does_not_resolve_yet_is_taken() -> None:
    client(private=False).check("https://nowhere.invalid/hook")


def test_a_name_server_that_hangs_does_not_hold_up_a_submit() -> None:
    over, asked = threading.Event(), []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        over.wait(PATIENT_S)
        return ["127.0.0.1"]

    patient = client(private=False, lookup=lookup, lookup_s=0.05)
    try:
        for _ in range(30):
            patient.check("https://slow.test/")
        assert len(asked) == 16, "only so many wait at a time"
    finally:
        over.set()
    with pytest.raises(InvalidInput):
        wait_for(lambda: patient.check("https://slow.test/"), "a free lookup")
