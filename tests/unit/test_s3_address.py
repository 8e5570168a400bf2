"""S3 addresses as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import InvalidInput, InvalidSettings, WorkerError
from api.s3 import REQUEST, S3Location, connect, parse_endpoint

R2 = "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"


@pytest.mark.parametrize(
    ("url", "name", "host", "bucket", "region"),
    [
        ("https://pics.s3.eu-west-2.amazonaws.com", None, "s3.eu-west-2.amazonaws.com", "pics", "eu-west-2"),
        ("https://my.pics.s3.eu-west-2.amazonaws.com/", None, "s3.eu-west-2.amazonaws.com", "my.pics", "eu-west-2"),
        ("https://s3.eu-west-2.amazonaws.com/pics", None, "s3.eu-west-2.amazonaws.com", "pics", "eu-west-2"),
        ("https://s3-us-west-1.amazonaws.com/pics", None, "s3-us-west-1.amazonaws.com", "pics", "us-west-1"),
        ("https://pics.s3.amazonaws.com", None, "s3.amazonaws.com", "pics", "us-east-1"),
        ("https://s3.amazonaws.com", "pics", "s3.amazonaws.com", "pics", "us-east-1"),
        (
            "https://pics.s3.dualstack.us-east-2.amazonaws.com",
            None,
            "s3.dualstack.us-east-2.amazonaws.com",
            "pics",
            "us-east-2",
        ),
        ("https://s3.cn-north-1.amazonaws.com.cn", "pics", "s3.cn-north-1.amazonaws.com.cn", "pics", "cn-north-1"),
        (f"https://{R2}", "pics", R2, "pics", "auto"),
        (f"https://{R2}/pics", None, R2, "pics", "auto"),
        (f"https://pics.{R2}", None, R2, "pics", "auto"),
        ("https://acct.eu.r2.cloudflarestorage.com/pics", None, "acct.eu.r2.cloudflarestorage.com", "pics", "auto"),
        ("https://nyc3.digitaloceanspaces.com", "pics", "nyc3.digitaloceanspaces.com", "pics", "nyc3"),
        ("https://pics.nyc3.digitaloceanspaces.com", None, "nyc3.digitaloceanspaces.com", "pics", "nyc3"),
        ("https://storage.googleapis.com/pics", None, "storage.googleapis.com", "pics", "auto"),
        ("https://pics.storage.googleapis.com", None, "storage.googleapis.com", "pics", "auto"),
        ("http://minio:9000", "pics", "minio:9000", "pics", "us-east-1"),
        ("http://192.168.1.5:9000/pics", None, "192.168.1.5:9000", "pics", "us-east-1"),
        ("http://[::1]:9000/pics", None, "[::1]:9000", "pics", "us-east-1"),
        ("https://s3.us-west-004.backblazeb2.com", "pics", "s3.us-west-004.backblazeb2.com", "pics", "us-west-004"),
        ("https://pics.s3.us-west-004.backblazeb2.com", None, "s3.us-west-004.backblazeb2.com", "pics", "us-west-004"),
        ("https://s3.eu-central-1.wasabisys.com/pics", None, "s3.eu-central-1.wasabisys.com", "pics", "eu-central-1"),
        ("https://s3api-eu-ro-1.runpod.io", "pics", "s3api-eu-ro-1.runpod.io", "pics", "eu-ro-1"),
    ],
)
def test_bucket_and_region_are_found(url: str, name: str | None, host: str, bucket: str, region: str) -> None:
    scheme = url.partition("://")[0]
    assert parse_endpoint(url, name, None) == S3Location(f"{scheme}://{host}", bucket, region, prefix="")


def test_the_path_below_the_bucket_is_a_prefix() -> None:
    assert parse_endpoint("http://minio:9000/pics/a/b/").prefix == "a/b"
    assert parse_endpoint("https://pics.s3.eu-west-2.amazonaws.com/a").prefix == "a"


def test_a_bucket_said_twice_alike_is_fine() -> None:
    assert parse_endpoint("http://minio:9000/pics", "pics").bucket == "pics"


def test_a_region_that_is_told_beats_the_guess() -> None:
    assert parse_endpoint("https://s3.eu-west-2.amazonaws.com", "pics", "us-east-1").region == "us-east-1"


@pytest.mark.parametrize(
    ("url", "name", "says"),
    [
        ("https://s3.eu-west-2.amazonaws.com", None, "set BUCKET_NAME"),
        (f"https://{R2}/", None, "set BUCKET_NAME"),
        ("http://minio:9000/pics", "other", "leave one of them out"),
        ("https://pics.nyc3.digitaloceanspaces.com", "other", "leave one of them out"),
        ("s3.eu-west-2.amazonaws.com/pics", None, "full URL"),
        ("ftp://minio/pics", None, "full URL"),
        ("http://minio:port/pics", None, "full URL"),
        ("http://", "pics", "full URL"),
        ("http://mi nio/pics", None, "full URL"),
        ("https://key:secret@minio/pics", None, "only scheme, host and path"),
        ("https://minio/pics?x=1", None, "only scheme, host and path"),
        ("https://minio/pics/../x", None, "path"),
        ("https://minio", "no/slashes", "not a bucket name"),
        ("https://minio", "ab\n", "not a bucket name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_set(url: str, name: str | None, says: str) -> None:
    with pytest.raises(InvalidSettings, match=says) as caught:
        parse_endpoint(url, name)
    assert "secret" not in caught.value.message


def test_a_request_hears_of_its_own_fields() -> None:
    with pytest.raises(InvalidInput, match=r"set s3Config\.bucketName"):
        parse_endpoint("https://s3.eu-west-2.amazonaws.com", asker=REQUEST)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (("https://minio/pics", None, "s"), "BUCKET_ACCESS_KEY_ID missing"),
        (("https://minio/pics", "", ""), "BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY missing"),
        ((None, "k", "s"), "BUCKET_ENDPOINT_URL missing"),
    ],
)
def test_half_a_configuration_is_refused(values: tuple[str | None, str | None, str | None], missing: str) -> None:
    with pytest.raises(InvalidSettings, match=missing):
        connect(*values)


@pytest.mark.parametrize("key", ["has space", "line\nbreak", "ünicode"])
def test_keys_that_fit_no_header_are_refused_unshown(key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        connect("https://minio/pics", "id", key)
    assert key not in caught.value.message


def test_the_secret_is_in_no_repr() -> None:
    connection = connect("https://minio/pics", "id", "the-secret")
    assert "the-secret" not in repr(vars(connection))


@given(st.text(max_size=60), st.none() | st.text(max_size=70), st.none() | st.text(max_size=20))
def test_no_text_gets_past_as_anything_but_a_location(url: str, name: str | None, region: str | None) -> None:
    for whole in (url, f"https://{url}", f"https://minio/{url}"):
        try:
            location = parse_endpoint(whole, name, region, REQUEST)
        except WorkerError:
            continue
        assert location.bucket
        assert location.region
