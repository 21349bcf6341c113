"""Where outbound calls may go: which names and addresses the egress guard lets through.

Boundary: decides about addresses and opens nothing. What must stay true: the
decision is made on resolved addresses, and the wire connects to exactly those.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.errors import InvalidRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to IP addresses in text form; raises OSError for an unknown name."""


class EgressDenied(InvalidRequest):
    """The address is not one this installation lets calls go out to."""

    code = "egress_denied"


PRIVATE_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
    )
)

# Link-local addresses and the fixed ones at which clouds serve credentials to their machines.
METADATA_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
    )
)

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses calls may reach; without arguments, only globally routable ones.

    ``endpoints`` are host and port pairs, ``networks`` whole ranges, both let
    through whatever they are. ``allow_private`` adds loopback and private
    networks, never link-local or metadata addresses.
    """

    endpoints: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()
    allow_private: bool = False

    @classmethod
    def parse(cls, text: str, *, allow_private: bool = False) -> "EgressPolicy":
        """Return the policy of a comma separated list of ``host:port`` and CIDR entries.

        Raises ValueError with a sentence that names the entry it cannot read.
        """
        endpoints: set[tuple[str, int]] = set()
        networks: list[Network] = []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            found = _parse_entry(entry)
            if isinstance(found, tuple):
                endpoints.add(found)
            else:
                networks.append(found)
        return cls(frozenset(endpoints), tuple(networks), allow_private)

    def check(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Raise EgressDenied unless every one of the resolved ``addresses`` may be reached."""
        if (host.lower().rstrip("."), port) in self.endpoints:
            return
        if not all(self._admits(address, port) for address in addresses):
            raise EgressDenied(
                f"Calls to {host!r} are not allowed: it leads to a private or reserved address."
            )

    def _admits(self, text: str, port: int) -> bool:
        address = _unwrap(ipaddress.ip_address(text))
        if (str(address), port) in self.endpoints or _is_in(address, self.networks):
            return True
        if _is_in(address, METADATA_NETWORKS):
            return False
        return _is_public(address) or (self.allow_private and _is_in(address, PRIVATE_NETWORKS))


def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the operating system knows them; raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError("the name is not a host name") from exc
    return [str(info[4][0]) for info in found]


def _parse_entry(entry: str) -> Network | tuple[str, int]:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        host, colon, port = entry.rpartition(":")
    host = host.strip("[]").lower().rstrip(".")
    if colon and host and "/" not in entry and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return host, int(port)
    raise ValueError(f"EGRESS_ALLOW: {entry!r} is neither host:port nor a network in CIDR form.") from None


def _unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries inside, where it carries one."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or int(address) >> 32 == 0):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return False
    return address.is_global and not address.is_multicast


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
