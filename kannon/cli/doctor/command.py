"""`kannon doctor`: one table of all that can keep mail from leaving or arriving, each line with its remedy."""

from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import typer
from anyio import to_thread

from kannon.cli.admin import dkim
from kannon.cli.connection import Session, client_command
from kannon.cli.doctor.finding import Finding, Level, bad, good, unknown
from kannon.cli.table import prose
from kannon.client import CallRefused
from kannon.errors import KannonError

if TYPE_CHECKING:
    from kannon.config import Config
    from kannon.dns_lookup import Lookup

app = typer.Typer(add_completion=False)


@client_command(app, "doctor")
async def doctor(session: Session) -> None:
    """Examine this machine, its servers, its network and the DNS of its domains. Exits 1 if something is bad."""
    findings = await examine(session)
    rows = [[each.check, each.level.value, each.found, each.todo] for each in findings]
    session.output.table(["check", "state", prose("found"), "what to do"], rows, [asdict(each) for each in findings])
    if any(each.level is Level.BAD for each in findings):
        raise typer.Exit(1)


async def examine(session: Session) -> list[Finding]:
    """The findings in the order of the table. All examinations run at the same time, since most wait for a network."""
    # Late imports: these libraries take longer to import than most commands take.
    from kannon.dns_lookup import make_lookup
    from kannon.hostname import name_host

    config = await to_thread.run_sync(name_host, session.endpoint.config)
    look_up = make_lookup(config.dns.nameservers)
    return await _gather(
        [
            to_thread.run_sync(_examine_machine, config),
            _examine_servers(session, config),
            _examine_network(config, look_up),
            _examine_domains(session, config, look_up),
        ]
    )


async def _gather(works: Sequence[Awaitable[list[Finding]]]) -> list[Finding]:
    groups: list[list[Finding]] = [[] for _ in works]

    async def put(index: int, work: Awaitable[list[Finding]]) -> None:
        groups[index] = await work

    async with anyio.create_task_group() as tasks:
        for index, work in enumerate(works):
            tasks.start_soon(put, index, work)
    return [finding for group in groups for finding in group]


def _examine_machine(config: "Config") -> list[Finding]:
    from kannon.cli.doctor import machine
    from kannon.config.tls_files import certificate_expiries

    return [
        machine.examine_clock(),
        *machine.examine_disk(config.data_dir.expanduser(), config.disk.reserve),
        machine.examine_open_files(),
        machine.examine_master_key(
            config.data_dir.expanduser(), bool(config.master_key.get_secret_value()), not config.postgres.url
        ),
        *machine.examine_certificates(certificate_expiries(config, config.components.enabled), datetime.now(UTC)),
    ]


async def _examine_servers(session: Session, config: "Config") -> list[Finding]:
    from kannon.cli.doctor import servers

    findings = []
    if "api" in config.components.enabled:
        try:
            findings += servers.judge_health(await session.anonymous.failing_checks())
        except KannonError as error:
            findings.append(bad("kannon serve", str(error), "start it: systemctl start kannon, or kannon serve"))
    # The embedded servers listen on this machine for kannon serve alone, whose health contains theirs.
    if config.postgres.url:
        findings += await servers.examine_postgres(config.postgres.url)
    if config.nats.url:
        findings.append(await servers.examine_nats(config.nats.url))
    return findings


async def _examine_network(config: "Config", look_up: "Lookup") -> list[Finding]:
    from kannon.cli.doctor import network
    from kannon.mail.dns.records import Kind

    sender = config.sender
    if sender.mode == "sandbox":
        return [good("network", "sandbox mode: no mail leaves this machine")]
    names = await network.examine_names(sender.hostname, sender.source_ips, look_up)
    addresses = sender.source_ips
    if not addresses and config.doctor.blocklists:
        addresses = await look_up(sender.hostname, Kind.ADDRESS)
    sources = sender.source_ips or [""]
    routes = [route for route in sender.routes if route.domain == "*"]
    ways = [
        network.examine_route(routes[0].host, routes[0].port, sender.hostname, source)
        if routes
        else network.examine_outbound(config.doctor.probe, sender.port, sender.hostname, source, look_up)
        for source in sources
    ]
    outward = [await way for way in ways]
    inward = (
        [await network.examine_inbound(config.smtp.hostname, look_up)] if "smtp" in config.components.enabled else []
    )
    return [*names, *outward, *inward, *await network.examine_blocklists(addresses, config.doctor.blocklists, look_up)]


async def _examine_domains(session: Session, config: "Config", look_up: "Lookup") -> list[Finding]:
    from urllib.parse import urlsplit

    from kannon.cli.doctor.domains import examine_domain
    from kannon.mail.dns.records import ServerNames

    if config.sender.mode == "sandbox":
        return []
    tracking = urlsplit(config.bump.base_url).hostname or ""
    names = ServerNames(config.sender.hostname, config.smtp.hostname, tracking)
    try:
        domains = [each.domain for each in await session.admin.list_domains()]
        keys = {each: await session.admin.list_dkim_keys(each) for each in domains}
    except (KannonError, CallRefused) as error:
        return [unknown("domains", f"cannot be listed: {error}", "start kannon serve, then run this again")]
    records = {domain: [dkim.record(key) for key in found if key.publish] for domain, found in keys.items()}
    return await _gather([examine_domain(domain, records[domain], names, look_up) for domain in domains])
