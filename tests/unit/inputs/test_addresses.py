import pytest

from api.errors import InputUrlRefused, InvalidSettings
from api.inputs.addresses import AddressGuard, is_public


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "not an address",
        "",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


def guard(addresses, allow_private=False, allowed_hosts=()):
    return AddressGuard(allow_private, allowed_hosts, lambda host, port: addresses)


def test_one_private_address_refuses_all():
    with pytest.raises(InputUrlRefused, match="private"):
        guard(["1.1.1.1", "10.0.0.1"]).addresses("mixed.example", 80)


def test_the_refusal_does_not_tell_the_address():
    with pytest.raises(InputUrlRefused) as caught:
        guard(["10.1.2.3"]).addresses("internal.example", 80)
    assert "10.1.2.3" not in caught.value.message


def test_exemptions():
    assert guard(["10.0.0.1"], allow_private=True).addresses("any.example", 80) == ["10.0.0.1"]
    exempt = guard(["10.0.0.1"], allowed_hosts=["Minio.local"])
    assert exempt.addresses("minio.local", 80) == exempt.addresses("minio.local.", 80) == ["10.0.0.1"]
    with pytest.raises(InputUrlRefused):
        exempt.addresses("minio.local.evil.example", 80)


@pytest.mark.parametrize(
    ("entry", "host", "ports"),
    [
        ("minio", "minio", {80, 443}),
        ("minio:9000", "minio", {9000}),
        ("minio:*", "minio", {80, 443, 9000, 22}),
        ("::1", "::1", {80, 443}),
        ("[::1]", "::1", {80, 443}),
        ("[::1]:9000", "::1", {9000}),
        ("Minio.LAN.:9000", "minio.lan", {9000}),
    ],
)
def test_a_host_is_exempt_at_its_own_ports_only(entry, host, ports):
    exempt = guard(["10.0.0.1"], allowed_hosts=[entry])
    for port in (80, 443, 9000, 22):
        if port in ports:
            assert exempt.addresses(host, port)
        else:
            with pytest.raises(InputUrlRefused):
                exempt.addresses(host, port)


@pytest.mark.parametrize("entry", ["minio:http", "minio:0", "minio:65536", "minio:-1", "[::1]:x"])
def test_a_port_that_is_none(entry):
    with pytest.raises(InvalidSettings, match=r"host:port or host:\*"):
        guard([], allowed_hosts=[entry])
