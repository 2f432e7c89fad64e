# SPDX-License-Identifier: Apache-2.0
"""Which hosts are of the public internet, and which of a machine or network of one's own."""

from __future__ import annotations

import ipaddress
import socket

# Of IPv6, where the last 32 bits are an address of IPv4.
_HOLDS_IPV4 = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))


def is_public_address(address: str) -> bool:
    """Whether an IP address, as a socket tells it, is of the public internet.

    Loopback, private, shared, link-local, unique-local and multicast addresses are not, and no IPv6
    address that stands for such a one of IPv4.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and any(found in network for network in _HOLDS_IPV4):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found.is_global and not found.is_multicast and not found.is_site_local
        found = inner
    return found.is_global and not found.is_multicast


def is_public_host(host: str) -> bool:
    """The same of what a URL names, as far as that tells: names may stand for any address."""
    if ":" in host:
        return is_public_address(host)
    try:
        # Takes "127.1" and "0x7f000001" as well, as who connects does.
        return is_public_address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        name = host.rstrip(".").lower()
        return name != "localhost" and not name.endswith(".localhost")
