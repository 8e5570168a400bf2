"""The guard's own arithmetic: links, addresses, key changes."""

import pytest

from api.errors import Forbidden, Unauthorized
from api.routes.auth import Guard


def scope(path: str, query: str = "", method: str = "GET", **headers: str) -> dict[str, object]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}


def test_links_survive_a_new_key_beside_the_old_one_and_not_its_end() -> None:
    token = Guard(["old"], clock=lambda: 0).sign("/output/a", 100)
    both, new = Guard(["new", "old"], clock=lambda: 0), Guard(["new"], clock=lambda: 0)
    assert both.admit(scope("/output/a", f"token={token}")).name == "link"
    with pytest.raises(Unauthorized):
        new.admit(scope("/output/a", f"token={token}"))


@pytest.mark.parametrize(
    "token",
    ["", ".", "100", "100.", "100.abc", "-1.abc", "９９９.abc", "1e9.abc", "100.ä"],
)
def test_broken_tokens_are_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        Guard(["k"], clock=lambda: 0).admit(scope("/output/a", f"token={token}"))


def test_a_link_cannot_be_given_a_longer_life() -> None:
    guard = Guard(["k"], clock=lambda: 50)
    token = guard.sign("/output/a", 100)
    assert token is not None
    longer = token.replace("100.", "200.")
    with pytest.raises(Unauthorized):
        guard.admit(scope("/output/a", f"token={longer}"))


def test_no_link_is_needed_where_no_key_is() -> None:
    assert Guard().sign("/output/a", 100) is None


@pytest.mark.parametrize(
    ("host", "keys", "is_warned"),
    [
        ("0.0.0.0", [], True),
        ("::", [], True),
        ("10.0.0.5", [], True),
        ("worker.example", [], True),
        ("0.0.0.0", ["k"], False),
        ("127.0.0.1", [], False),
        ("127.1.2.3", [], False),
        ("::1", [], False),
        ("localhost", [], False),
    ],
)
def test_an_open_door_to_the_network_is_warned_about(host: str, keys: list[str], is_warned: bool) -> None:
    assert bool(Guard(keys).warning(host)) is is_warned


@pytest.mark.parametrize(
    ("keys", "admin", "key", "is_operator"),
    [
        ([], None, None, True),
        ([], "admin", None, False),
        ([], "admin", "admin", True),
        (["user"], None, "user", True),
        (["user"], "admin", "user", False),
        (["user"], "admin", "admin", True),
    ],
)
def test_operators_are_those_who_may_do_everything(
    keys: list[str], admin: str | None, key: str | None, is_operator: bool
) -> None:
    headers = {"x_api_key": key} if key else {}
    assert Guard(keys, admin).admit(scope("/run", method="POST", **headers)).is_operator is is_operator


@pytest.mark.parametrize(
    ("origin", "allowed", "is_let_in"),
    [
        ("http://gpu.example:8000", [], False),
        ("http://gpu.example:8000", ["http://gpu.example:8000"], True),
        ("http://gpu.example:8000", ["*"], True),
        ("https://gpu.example:8000", [], True),
        ("http://192.168.1.5:8000", [], True),
        ("http://gpu-box:8000", [], True),
        (None, [], True),
    ],
)
def test_at_an_address_of_the_network_pages_of_a_strangers_name_are_refused_and_programs_are_not(
    origin: str | None, allowed: list[str], is_let_in: bool
) -> None:
    headers = {"host": (origin or "http://gpu.example:8000").split("//")[1]} | ({"origin": origin} if origin else {})
    asked = scope("/run", method="POST", **headers) | {"server": ("192.168.1.5", 8000)}
    guard = Guard(allowed_origins=allowed)
    if is_let_in:
        guard.admit(asked)
    else:
        with pytest.raises(Forbidden):
            guard.admit(asked)
