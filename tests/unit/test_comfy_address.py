"""What COMFY_HOST takes."""

import pytest

from api.comfy_address import ComfyAddress, parse_address, parse_addresses
from api.settings import Settings


def test_several_with_what_is_said_of_them() -> None:
    text = "10.0.0.1:8188;label=fast;weight=2, https://gpu.example.com/ ,localhost:8189"
    assert parse_addresses(text) == (
        ComfyAddress("http://10.0.0.1:8188", "fast", 2.0),
        ComfyAddress("https://gpu.example.com"),
        ComfyAddress("http://localhost:8189"),
    )


def test_name_port_and_place() -> None:
    remote, here = parse_address("https://gpu.example.com"), parse_address("127.0.0.1:8190")
    assert (remote.name, remote.port, remote.is_local) == ("gpu.example.com", 443, False)
    assert (here.name, here.port, here.is_local) == ("127.0.0.1:8190", 8190, True)


def test_ssl_is_for_addresses_without_a_scheme() -> None:
    assert parse_address("a:1", use_ssl=True).url == "https://a:1"
    assert parse_address("http://a:1", use_ssl=True).url == "http://a:1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no ComfyUI"),
        (" , ", "names no ComfyUI"),
        ("a:1,b:2,a:1", "a:1 is there twice"),
        ("ftp://a:1", "is not host:port"),
        ("a:70000", "is not host:port"),
        ("a..b:1", "is not host:port"),
        (f"{'a' * 64}:1", "is not host:port"),
        ("a\x8e:1", "is not host:port"),
        ("http://user:secret@a:1", "is not host:port"),
        ("http://:secret@a:1", "is not host:port"),
        ("http://us\u2100er:secret@a:1", "is not host:port"),
        ("http://[::1", "is not host:port"),
        ("http://a:1/comfy?token=secret", "is not host:port"),
        ("a:1#there", "is not host:port"),
        ("a:1;label=b\x07", "is not label"),
        ("a:1;weight=0", "weight=0 is not a number above 0"),
        ("a:1;weight=nan", "weight=nan is not a number"),
        ("a:1;size=2", "'size=2' is not label=… or weight=…"),
        ("a:1;label=", "'label=' is not label=… or weight=…"),
    ],
)
def test_what_cannot_be_used_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_addresses(text)
    assert "secret" not in str(refusal.value)


def test_comfyui_host_is_another_name_and_comfy_host_wins() -> None:
    assert [each.name for each in Settings(comfyui_host="a:1,b:2").comfy_addresses] == ["a:1", "b:2"]
    assert [each.name for each in Settings(comfyui_host="a:1", comfy_host="b:2").comfy_addresses] == ["b:2"]
    assert Settings(comfyui_host="a:1", comfyui_use_ssl=True).comfy_url == "https://a:1"
