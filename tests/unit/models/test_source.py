"""Which URLs models may come from, and what is asked for."""

import pytest

from api.errors import InputUrlRefused, InvalidSettings
from api.inputs.web_address import WebAddress
from api.models.source import AllowedHosts, Sources

HUB = "https://huggingface.co"
HOSTS = ("huggingface.co", "*.hf.co", "files.example:8443")


def sources(**options) -> Sources:
    return Sources(AllowedHosts(HOSTS), HUB, "hf_secret", **options)


@pytest.mark.parametrize(
    ("url", "target", "filename"),
    [
        ("https://huggingface.co/org/repo/resolve/main/a.safetensors", "/org/repo/resolve/main/a.safetensors", "a"),
        (
            "https://huggingface.co/org/repo/blob/main/sub/a.safetensors",
            "/org/repo/resolve/main/sub/a.safetensors",
            "a",
        ),
        ("hf://org/repo/sub/a.safetensors", "/org/repo/resolve/main/sub/a.safetensors", "a"),
        ("hf://org/repo/a.safetensors@refs/pr/1", "/org/repo/resolve/refs%2Fpr%2F1/a.safetensors", "a"),
        ("https://files.example:8443/x/b%20c.safetensors?token=t", "/x/b%20c.safetensors?token=t", "b c"),
    ],
)
def test_what_is_asked_for(url: str, target: str, filename: str) -> None:
    found = sources().of(url)
    assert (found.address.target, found.filename) == (target, f"{filename}.safetensors")


def test_the_token_goes_to_the_hub_alone() -> None:
    assert sources().of("hf://org/repo/a.gguf").headers == {"Authorization": "Bearer hf_secret"}
    assert sources().of("https://files.example:8443/a.gguf").headers == {}
    # The same name without TLS is somebody else.
    assert sources().of("http://huggingface.co/org/repo/resolve/main/a.gguf").headers == {}
    assert "hf_secret" not in repr(sources().of("hf://org/repo/a.gguf"))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.safetensors",
        "https://huggingface.co.evil.example/a.safetensors",
        "https://hf.co.evil/a.safetensors",
        "https://hf.co/a.safetensors",
        "https://evilhf.co/a.safetensors",
        "https://huggingface.co:444/a.safetensors",
        "https://files.example/a.safetensors",
        "https://x.hf.co:8080/a.safetensors",
        "file:///etc/passwd",
        "ftp://huggingface.co/a",
        "hf://just-a-name",
        "s3://bucket/a.safetensors",
        "nonsense",
        "https://huggingface.co/" + "a" * 5000,
    ],
)
def test_what_is_refused(url: str) -> None:
    with pytest.raises(InputUrlRefused) as refused:
        sources().of(url)
    assert refused.value.details[0]["field"] == "url"


def test_hosts_below_a_domain_pass() -> None:
    AllowedHosts(HOSTS).check(WebAddress.parse("https://cdn-lfs.hf.co/x"))


def test_a_host_that_is_none_is_refused_with_the_settings() -> None:
    with pytest.raises(InvalidSettings, match="MODEL_DOWNLOAD_HOSTS"):
        AllowedHosts(["host:port"])


def test_an_object_of_the_bucket() -> None:
    found = sources(presign_s3=lambda bucket, key: f"http://s3.local:9000/{bucket}/{key}?X-Amz-Signature=s").of(
        "s3://models/loras/a%20b.safetensors"
    )
    assert (found.filename, found.is_own) == ("a b.safetensors", True)
    assert "X-Amz" not in found.address.shown
