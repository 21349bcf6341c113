import pytest

from api.core.egress import EgressDenied, EgressPolicy, resolve_host

NOWHERE_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "2001:db8::1",
    "2001::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12::1",
    "::ffff:10.0.0.1",
]
NEVER_PRIVATE = ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1"]


@pytest.mark.parametrize("address", NOWHERE_PUBLIC)
def test_default_policy_address_not_globally_routable_denied(address: str) -> None:
    with pytest.raises(EgressDenied) as denied:
        EgressPolicy().check("example.org", 80, [address])
    assert (denied.value.code, denied.value.http_status) == ("egress_denied", 400)


@pytest.mark.parametrize("address", PUBLIC)
def test_default_policy_public_address_passes(address: str) -> None:
    EgressPolicy().check("example.org", 80, [address])


def test_default_policy_one_private_among_public_addresses_denied() -> None:
    with pytest.raises(EgressDenied):
        EgressPolicy().check("example.org", 80, ["1.1.1.1", "10.0.0.1"])


@pytest.mark.parametrize("address", PRIVATE)
def test_private_policy_private_address_passes(address: str) -> None:
    EgressPolicy(allow_private=True).check("ollama", 11434, [address])


@pytest.mark.parametrize("address", NEVER_PRIVATE)
def test_private_policy_metadata_or_link_local_denied(address: str) -> None:
    with pytest.raises(EgressDenied):
        EgressPolicy(allow_private=True).check("metadata", 80, [address])


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("models.internal", 8080, "10.0.0.9"),
        ("MODELS.internal.", 8080, "10.0.0.9"),
        ("localhost", 9100, "127.0.0.1"),
        ("anything", 1, "192.168.7.7"),
        ("anything", 1, "fd99::5"),
        ("six", 443, "::1"),
        ("metadata", 80, "169.254.169.254"),
    ],
)
def test_allow_list_entry_lets_its_own_address_pass(host: str, port: int, address: str) -> None:
    policy = EgressPolicy.parse(
        "models.internal:8080, 127.0.0.1:9100 ,192.168.7.0/24,fd99::/16,[::1]:443,169.254.169.254,"
    )
    policy.check(host, port, [address])


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("models.internal", 8081, "10.0.0.9"),
        ("other.internal", 8080, "10.0.0.9"),
        ("localhost", 9101, "127.0.0.1"),
        ("anything", 1, "192.168.8.7"),
    ],
)
def test_allow_list_entry_does_not_cover_neighbours(host: str, port: int, address: str) -> None:
    with pytest.raises(EgressDenied):
        EgressPolicy.parse("models.internal:8080,127.0.0.1:9100,192.168.7.0/24").check(host, port, [address])


@pytest.mark.parametrize(
    "entry", ["example.org", "h:0", "h:99999", ":80", "http://a:80", "10.0.0.1/8", "h:8o"]
)
def test_allow_list_unreadable_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="EGRESS_ALLOW") as refused:
        EgressPolicy.parse(f"10.0.0.0/8,{entry}")
    assert repr(entry) in str(refused.value)


def test_resolve_host_name_too_long_is_an_oserror() -> None:
    with pytest.raises(OSError):
        resolve_host("a" * 70 + ".example", 80)
