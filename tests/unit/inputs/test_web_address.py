import pytest

from api.errors import InputUrlRefused
from api.inputs.web_address import WebAddress


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Example.com", ("http", "example.com", 80, "/")),
        ("HTTPS://example.com:8443/a b?x=ü#frag", ("https", "example.com", 8443, "/a%20b?x=%C3%BC")),
        ("https://example.com/a%2Fb?sig=a%2Bb%3D", ("https", "example.com", 443, "/a%2Fb?sig=a%2Bb%3D")),
        ("http://[2606:4700::1111]:81/", ("http", "2606:4700::1111", 81, "/")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/")),
        ("  http://2130706433/x\n", ("http", "2130706433", 80, "/x")),
    ],
)
def test_urls_are_taken_apart(url, expected):
    address = WebAddress.parse(url)
    assert (address.scheme, address.host, address.port, address.target) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x",
        "file:///etc/passwd",
        "gopher://example.com",
        "http://",
        "http:///x",
        "http://:80/",
        "http://a..b/",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://h:99999/",
        "http://h:0/",
        "http://h:x/",
        "http://exa mple.com/",
        "http://a%00b/",
        "http://a,b/",
        f"http://{'a' * 64}.com/",
        "http://\ud800/",
        "http://h/\ud800",
    ],
)
def test_what_is_no_web_address(url):
    with pytest.raises(InputUrlRefused) as caught:
        WebAddress.parse(url)
    assert caught.value.message


def test_shown_without_secrets():
    address = WebAddress.parse("https://user:pass@example.com/p/a.png?X-Amz-Signature=abc#f")
    assert address.shown == "https://example.com/p/a.png"
    assert not any(secret in repr(address) for secret in ("user", "pass", "abc"))
    assert WebAddress.parse("http://h/" + "x" * 500).shown.endswith("…")


def test_credentials_become_a_header():
    assert WebAddress.parse("http://user:p%40ss@h/").authorization == "Basic dXNlcjpwQHNz"
    assert WebAddress.parse("http://h/").authorization is None


@pytest.mark.parametrize(
    ("location", "expected", "keeps"),
    [
        ("/b?x=1", "http://h:81/b", True),
        ("c", "http://h:81/a/c", True),
        ("http://h:81/d", "http://h:81/d", True),
        ("http://H:81/d", "http://h:81/d", True),
        ("http://h/d", "http://h/d", False),
        ("https://h:81/d", "https://h:81/d", False),
        ("//other/d", "http://other/d", False),
        ("http://u:p@other/d", "http://other/d", False),
        ("/gr\u00c3\u00bcn", "http://h:81/gr%C3%BCn", True),
    ],
)
def test_redirects_keep_credentials_only_at_home(location, expected, keeps):
    address = WebAddress.parse("http://user:pass@h:81/a/b").redirected(location)
    assert address.shown == expected
    assert bool(address.authorization) is keeps


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/", "http://[::1", "s3://b/k", "javascript:1"])
def test_redirects_to_elsewhere_are_refused(location):
    with pytest.raises(InputUrlRefused):
        WebAddress.parse("http://h/").redirected(location)
