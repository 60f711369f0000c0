"""Which machine a request comes from, as far as that can be believed."""

import re
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

#: Stands for an address that could not be told, where one must be named.
UNKNOWN_IP = "::"
_WITH_PORT = re.compile(r"\[(?P<v6>[^]]*)\](:\d+)?|(?P<v4>[\d.]+):\d+")


def client_ip(request: HttpRequest) -> str | None:
    """Return the address of the machine that asks, or None when none is known.

    Each of the ``PROXY_COUNT`` proxies in front adds one entry at the right end of
    ``X-Forwarded-For``; what stands further left came with the request and is anybody's
    claim (OWASP ASVS 5.0, 4.1.3). Too few entries, or one that is no address: the
    machine that spoke to us.
    """
    said: str | None = request.META.get("REMOTE_ADDR")
    count: int = settings.PROXY_COUNT
    if count:
        entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(entries) >= count:
            said = plain_ip(_without_port(entries[-count].strip())) or said
    return plain_ip(said)


def network_of_request(request: HttpRequest) -> str:
    """Return whom the machine that asks is counted with; the unknown are together."""
    return network_of(client_ip(request) or UNKNOWN_IP)


def network_of(address: str) -> str:
    """Return whom an address is counted with: itself, or its /64 when it is IPv6.

    One household or server owns a whole /64 and could use a new address each time.
    """
    if isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False))
    return address


def _without_port(entry: str) -> str:
    """Return an entry's address: some proxies add a port, and brackets to IPv6."""
    if found := _WITH_PORT.fullmatch(entry):
        return found["v6"] or found["v4"]
    return entry


def plain_ip(text: str | None) -> str | None:
    """Return an address in its one spelling; None when it is none."""
    try:
        read = ip_address((text or "").strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(read, IPv6Address) and read.ipv4_mapped:
        return str(read.ipv4_mapped)
    return str(read)
