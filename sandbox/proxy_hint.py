"""Says what to export if curl and the SDKs would send requests for 127.0.0.1 to a proxy."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping

_PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_HERE = ("127.0.0.1", "localhost")


def hint(env: Mapping[str, str], lan_address: str = "") -> str:
    """One line with the command to copy. The line is "" if there is no proxy, or if no proxy is
    used for the sandbox's addresses.

    With LAN, the tokens of the sandbox contain the address `lan_address`. Therefore the command
    must also exclude this address from the proxy. The line has the name of the proxy's variable but
    not its value, which may hold a password.
    """
    proxies = [name for name in _PROXIES if env.get(name)]
    # curl and Python prefer the lower-case variable.
    excepted = env.get("no_proxy") or env.get("NO_PROXY") or ""
    entries = [entry.strip() for entry in excepted.split(",") if entry.strip()]
    hosts = [*_HERE, lan_address] if lan_address else _HERE
    missing = [host for host in hosts if not any(_covers(entry, host) for entry in entries)]
    addresses = [host for host in missing if host != "localhost"]
    if not proxies or not addresses:
        return ""
    value = shlex.quote(",".join([*entries, *missing]))
    return (
        f"{proxies[0]} is set, so curl and SDKs may ask the proxy for {addresses[0]}; "
        f"before you use them, run: export NO_PROXY={value} no_proxy={value}"
    )


def _covers(entry: str, host: str) -> bool:
    if entry == "*" or entry.lower().lstrip(".") == host:
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
