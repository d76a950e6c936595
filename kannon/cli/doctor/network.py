"""The network: port 25 in both directions, the names of the sending addresses, blocklists.

In: names, addresses and a look-up. Out: findings. The SMTP client is aiosmtplib, not Kannon's own, so that the two do
not share an error.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

import aiosmtplib

from kannon.cli.doctor.finding import Finding, bad, good, unknown, warn
from kannon.dns_lookup import Lookup
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind, is_public_host

CONNECT_SECONDS: Final = 10.0
_CHECK_DNS: Final = "check dns.nameservers, then run this again"


async def examine_outbound(probe: str, port: int, hostname: str, source: str, look_up: Lookup) -> Finding:
    """Opens a connection to a mail server of the domain `probe` and says EHLO; sends no mail."""
    check = f"port {port} outward"
    try:
        exchangers = sorted(await look_up(probe, Kind.MX), key=lambda text: int(text.split()[0]))
    except Unavailable as error:
        return unknown(check, str(error), _CHECK_DNS)
    if not exchangers:
        return unknown(check, f"{probe} has no MX record", "name a domain with mail servers in doctor.probe")
    host = exchangers[0].split()[1].rstrip(".")
    address = next(iter(await look_up(host, Kind.ADDRESS)), host)
    return await _examine_server(
        check, host, address, port, hostname, source, "ask the provider to open it, or send by [[sender.routes]]"
    )


async def examine_route(host: str, port: int, hostname: str, source: str) -> Finding:
    """The smarthost that takes all mail."""
    return await _examine_server(
        f"smarthost {host}:{port}", host, host, port, hostname, source, "correct [[sender.routes]]"
    )


async def _examine_server(
    check: str, host: str, address: str, port: int, hostname: str, source: str, todo: str
) -> Finding:
    # Port 25 speaks in clear until STARTTLS; 465 is TLS from the first byte (RFC 8314 §3.3).
    client = aiosmtplib.SMTP(
        hostname=address,
        port=port,
        local_hostname=hostname,
        source_address=(source, 0) if source else None,
        timeout=CONNECT_SECONDS,
        use_tls=port == 465,
        start_tls=False,
        validate_certs=False,
    )
    try:
        await client.connect()
        reply = await client.ehlo()
        await client.quit()
    except aiosmtplib.SMTPResponseException as error:
        said = " ".join(error.message.split())
        return bad(check, f"{host} refuses this machine: {error.code} {said}", "read what the reply says")
    except (aiosmtplib.SMTPException, OSError) as error:
        return bad(check, f"{host} cannot be reached: {_describe(error)}", todo)
    return good(check, f"{host} answers {reply.code}")


async def examine_inbound(hostname: str, look_up: Lookup, *, port: int = 25) -> Finding:
    """Connects to the name that the MX records of the domains lead to, from this machine."""
    check = f"port {port} inward"
    try:
        addresses = await look_up(hostname, Kind.ADDRESS)
    except Unavailable as error:
        return unknown(check, str(error), _CHECK_DNS)
    if not addresses:
        return bad(check, f"{hostname} has no address: bounces are lost", f"publish an A record of {hostname}")
    client = aiosmtplib.SMTP(
        hostname=addresses[0], port=port, local_hostname="doctor.invalid", timeout=CONNECT_SECONDS, start_tls=False
    )
    try:
        await client.connect()
        reply = await client.ehlo()
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        return bad(
            check,
            f"{hostname} ({addresses[0]}) cannot be reached from here: {_describe(error)}",
            "open port 25 in the firewall and set smtp.listen to 0.0.0.0:25, or redirect 25 to it",
        )
    if reply.message.split()[:1] != [hostname]:
        other = reply.message.split()[0]
        return warn(check, f"{hostname} leads to a server called {other}", f"let {hostname} lead to this machine")
    return good(check, f"{hostname} answers")


async def examine_names(hostname: str, sources: Sequence[str], look_up: Lookup) -> list[Finding]:
    """The name in EHLO and each address that mail comes from. `sources` empty: the addresses of `hostname`."""
    check = "EHLO name"
    if not is_public_host(hostname):
        return [bad(check, f'"{hostname}" is no public name: many servers refuse it', "set sender.hostname")]
    try:
        addresses = await look_up(hostname, Kind.ADDRESS)
    except Unavailable as error:
        return [unknown(check, str(error), _CHECK_DNS)]
    if not addresses:
        return [bad(check, f"{hostname} has no address", f"publish an A record of {hostname}")]
    named = good(check, f"{hostname} is {', '.join(addresses)}")
    return [named, *[await _examine_reverse(each, hostname, look_up) for each in sources or addresses]]


async def _examine_reverse(address: str, hostname: str, look_up: Lookup) -> Finding:
    check = f"reverse name of {address}"
    todo = f"ask the provider of {address} to name it {hostname}"
    try:
        names = [name.rstrip(".").lower() for name in await look_up(address, Kind.PTR)]
        if not names:
            return bad(check, "missing: large providers refuse such mail", todo)
        if hostname.lower() not in names:
            return bad(check, f"is {', '.join(names)}, not {hostname}", todo)
        # Forward-confirmed: the name must lead back to the address.
        back = {ipaddress.ip_address(each) for each in await look_up(hostname, Kind.ADDRESS)}
    except Unavailable as error:
        return unknown(check, str(error), _CHECK_DNS)
    if ipaddress.ip_address(address) not in back:
        return bad(check, f"{hostname} does not lead back to {address}", f"add {address} to the A records of it")
    return good(check, hostname)


async def examine_blocklists(addresses: Sequence[str], lists: Sequence[str], look_up: Lookup) -> list[Finding]:
    """Each address in each list (RFC 5782 §2.1)."""
    return [await _examine_blocklist(address, each, look_up) for each in lists for address in addresses]


async def _examine_blocklist(address: str, blocklist: str, look_up: Lookup) -> Finding:
    check = f"{address} in {blocklist}"
    reverse = ipaddress.ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    name = f"{reverse}.{blocklist}"
    try:
        codes = await look_up(name, Kind.ADDRESS)
        reasons = await look_up(name, Kind.TXT) if codes else []
    except Unavailable as error:
        return unknown(check, str(error), _CHECK_DNS)
    if not codes:
        return good(check, "not listed")
    # Spamhaus answers 127.255.255.x to a resolver that it does not serve: no listing.
    if all(code.startswith("127.255.255.") for code in codes):
        return unknown(
            check, f"the list refuses this resolver ({codes[0]})", "set dns.nameservers to your own resolver"
        )
    said = "; ".join(reasons) or ", ".join(codes)
    return bad(check, f"listed: {said}", f"find the cause, then ask {blocklist} to remove the address")


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
