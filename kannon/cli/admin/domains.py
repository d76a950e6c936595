"""`kannon domains`: adds, lists and shows domains, their DNS records and their tracking policy."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import anyio
import typer
from anyio import to_thread
from google.protobuf.message import Message

from kannon.cli.admin import dkim
from kannon.cli.completion import complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.errors import EX_UNAVAILABLE
from kannon.cli.output import Total, printable
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.errors import Unavailable
from kannon.hostname import name_host
from kannon.mail.dns.records import Record, RecordCheck, ServerNames, check_record, name_warnings, records_for
from kannon.mail.dns.zone import zone_file
from kannon.mail.reports.explain import percent
from kannon.pb.admin.apiv1.adminapiv1_pb2 import Domain
from kannon.pb.admin.v1.reputation_pb2 import GetReportsResponse
from kannon.pb.tracking.types import tracking_pb2
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode

app = typer.Typer(help="Sender domains.", no_args_is_help=True, add_completion=False)
app.add_typer(dkim.app, name="dkim")

LOOKUP_FAILED = RecordCheck(False, "look-up failed", "check dns.nameservers, then run this again")

Name = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]


class Mode(StrEnum):
    """As typed on the command line."""

    OFF = "off"
    ANONYMOUS = "anonymous"
    PSEUDONYMOUS = "pseudonymous"
    IDENTIFIED = "identified"
    FULL = "full"

    @property
    def message(self) -> TrackingMode:
        number: TrackingMode = getattr(tracking_pb2, f"TRACKING_MODE_{self.name}")
        return number


class Switch(StrEnum):
    """As typed on the command line."""

    ON = "on"
    OFF = "off"
    CONFIGURED = "configured"


@client_command(app, "add")
async def add(session: Session, name: Name) -> None:
    """Add a domain and create its DKIM key."""
    domain = await session.admin.create_domain(name)
    session.output.lines(f"{domain.domain} is added", domain)
    session.output.next(f"kannon domains dns {domain.domain}", f"kannon keys create {domain.domain}")


@client_command(app, "list")
async def list_(session: Session) -> None:
    """List the domains."""
    domains = await session.admin.list_domains()
    session.output.table(["domain", "opens", "links"], [_row(d) for d in domains], domains, Total("domain", "domains"))
    session.output.next(f"kannon domains dns {domains[0].domain}" if domains else "kannon domains add DOMAIN")


@client_command(app, "show")
async def show(session: Session, name: Name) -> None:
    """Show a domain."""
    domain = await session.admin.find_domain(name)
    rows = [("domain", domain.domain), ("opens", _row(domain)[1]), ("links", _row(domain)[2])]
    session.output.pairs([*rows, ("dkim p=", domain.dkim_pub_key)], domain)
    session.output.next(f"kannon domains dns {domain.domain} --verify")


@client_command(app, "tracking")
async def tracking(
    session: Session,
    name: Name,
    opens: Annotated[Mode | None, typer.Option(help="The most that an open may record.")] = None,
    links: Annotated[Mode | None, typer.Option(help="The most that a click may record.")] = None,
) -> None:
    """Show or set the tracking policy of a domain."""
    domain = await session.admin.find_domain(name)
    if opens is not None or links is not None:
        domain = await session.admin.set_tracking(
            name,
            opens=domain.tracking.opens if opens is None else opens.message,
            links=domain.tracking.links if links is None else links.message,
        )
    session.output.table(["domain", "opens", "links"], [_row(domain)], domain)
    if opens is None and links is None:
        session.output.next(f"kannon domains tracking {domain.domain} --opens anonymous --links off")


@client_command(app, "dns")
async def dns(
    session: Session,
    name: Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look up each record. Exits 1 if one is wrong, 69 if a look-up fails.")
    ] = False,
    zone: Annotated[bool, typer.Option("--zone", help="Print the records as lines of a zone file.")] = False,
    host: Annotated[
        str, typer.Option(help="The sending host. Default: sender.hostname, else the name of this host.")
    ] = "",
) -> None:
    """Print the DNS records that the domain needs."""
    if zone and verify:
        raise typer.BadParameter("cannot be combined with --verify", param_hint="--zone")
    domain = await session.admin.find_domain(name)
    config = session.endpoint.config
    sender = config.sender.model_copy(update={"hostname": host or config.sender.hostname})
    tracking = urlsplit(config.bump.base_url).hostname or ""  # as configured: sandbox mode's own is no name to publish
    config = await to_thread.run_sync(name_host, config.model_copy(update={"sender": sender}))
    servers = ServerNames(config.sender.hostname, config.smtp.hostname, tracking)
    for warning in name_warnings(servers):
        print(f"kannon: warning: {warning}", file=sys.stderr)
    keys = await session.admin.list_dkim_keys(domain.domain)
    records = records_for(domain.domain, [dkim.record(key) for key in keys if key.publish], servers)
    if zone:
        text = zone_file(domain.domain, records)
        session.output.lines(text, {"zone": text})
        return
    if not verify:
        _print_records(session, records, [])
        session.output.next(f"kannon domains dns {domain.domain} --verify, once they are published")
        return
    checks = await _check_records(records, config.dns.nameservers)
    _print_records(session, records, [check or LOOKUP_FAILED for check in checks])
    if any(check is not None and not check.good for check in checks):
        raise typer.Exit(1)
    if None in checks:
        raise typer.Exit(EX_UNAVAILABLE)


async def _check_records(records: Sequence[Record], nameservers: Sequence[str]) -> list[RecordCheck | None]:
    """One check for each record, in their order. None where the look-up failed."""
    from kannon.dns_lookup import make_lookup  # late: the resolver takes longer to import than everything else here

    look_up = make_lookup(nameservers)
    checks: list[RecordCheck | None] = [None] * len(records)

    async def check(index: int, record: Record) -> None:
        try:
            checks[index] = check_record(record, await look_up(record.name, record.kind))
        except Unavailable as error:
            print(f"kannon: {error}", file=sys.stderr)

    async with anyio.create_task_group() as group:
        for index, record in enumerate(records):
            group.start_soon(check, index, record)
    return checks


def _print_records(session: Session, records: Sequence[Record], checks: Sequence[RecordCheck]) -> None:
    names = ["for", "name", "type", "value"]
    rows = [[r.purpose.value, r.name, r.kind.value, r.value] for r in records]
    document: list[dict[str, object]] = [dict(zip(("purpose", *names[1:]), row, strict=True)) for row in rows]
    columns = list(names)
    if checks:
        columns += ["found", prose("what to do")]
        rows = [[*row, c.problem or "good", c.hint] for row, c in zip(rows, checks, strict=True)]
        for each, c in zip(document, checks, strict=True):
            each |= {"good": c.good, "problem": c.problem, "hint": c.hint}
    session.output.table(columns, rows, document)


def _row(domain: Domain) -> tuple[str, str, str]:
    return domain.domain, _mode(domain.tracking.opens), _mode(domain.tracking.links)


def _mode(mode: TrackingMode) -> str:
    return TrackingMode.Name(mode).removeprefix("TRACKING_MODE_").lower()


@client_command(app, "quota")
async def quota(
    session: Session,
    name: Name,
    rate: Annotated[int | None, typer.Option(help="Mails a second. 0: no limit.", show_default=False)] = None,
    daily: Annotated[int | None, typer.Option(help="Mails a day (UTC). 0: no limit.", show_default=False)] = None,
) -> None:
    """Show how many mails a domain may send, or set it. Holds for all its keys together."""
    limits = await session.admin.find_domain_quota(name)
    if rate is not None or daily is not None:
        limits = await session.admin.set_domain_quota(
            name,
            per_second=limits.per_second if rate is None else rate,
            per_day=limits.per_day if daily is None else daily,
        )
    a_second, a_day = (str(each or "no limit") for each in (limits.per_second, limits.per_day))
    session.output.table(["what", "value"], [["mails a second", a_second], ["mails a day", a_day]], limits)


@client_command(app, "guard")
async def guard(
    session: Session,
    name: Name,
    switch: Annotated[Switch | None, typer.Option(help="Whether the guard pauses batches.", show_default=False)] = None,
    dead: Annotated[
        str, typer.Option(metavar="PERCENT", help="The most hard bounces: a percentage, or configured.")
    ] = "",
    complaints: Annotated[
        str, typer.Option(metavar="PERCENT", help="The most complaints: a percentage, or configured.")
    ] = "",
) -> None:
    """Show when the guard pauses batches of a domain, or set it."""
    found = await session.admin.find_guard(name)
    document: Message = found
    in_force, own = found.guard, found.overrides
    if switch is not None or dead or complaints:
        if switch is not None:
            own.ClearField("enabled")
            if switch is not Switch.CONFIGURED:
                own.enabled = switch is Switch.ON
        for option, field, text in (
            ("--dead", "dead_percent", dead),
            ("--complaints", "complaint_percent", complaints),
        ):
            if text:
                own.ClearField(field)
                if text != Switch.CONFIGURED:
                    setattr(own, field, _percentage(text, option))
        changed = await session.admin.set_guard(name, own)
        document, in_force, own = changed, changed.guard, changed.overrides
    rows = [
        ["guard", "on" if in_force.enabled else "off", _source(own.HasField("enabled"))],
        [
            f"hard bounces, of {in_force.after_outcomes} outcomes or more",
            f"{in_force.dead_percent:g} %",
            _source(own.HasField("dead_percent")),
        ],
        [
            f"complaints, of {in_force.after_delivered} delivered or more",
            f"{in_force.complaint_percent:g} %",
            _source(own.HasField("complaint_percent")),
        ],
    ]
    session.output.table(["what", "at most", "from"], rows, document)
    session.output.next("kannon queue pauses")


def _source(own: bool) -> str:
    return "this domain" if own else "the configuration"


def _percentage(text: str, option: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise typer.BadParameter(f'"{text}" is no percentage', param_hint=option) from None
    return number


@client_command(app, "reports")
async def reports(
    session: Session,
    name: Name,
    since: Annotated[str, typer.Option(help='Only days since then: "7d" (ago) or an ISO time.')] = "30d",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many source addresses.")] = 20,
) -> None:
    """Show what receivers report: which addresses send in the domain's name, and what fails there."""
    now = datetime.now(UTC)
    response = await session.admin.find_reports(name, from_time=parse_time(since, now, "--since"), take=limit)
    output, dmarc, tls = session.output, response.dmarc, response.tls
    columns = ["address", "mails", "aligned", "DKIM", "SPF", prose("why")]
    rows = [
        [
            each.address,
            str(each.mails),
            percent(each.aligned, each.mails),
            percent(each.dkim, each.mails),
            percent(each.spf, each.mails),
            "; ".join(each.why),
        ]
        for each in dmarc.sources
    ]
    if not output.as_json:
        print(printable(_summary(response)))
    output.table(columns, rows, response, Total("source address", "source addresses", dmarc.source_count))
    if not output.as_json and tls.failures:
        print(printable(f"TLS with your own servers: {tls.failed} of {tls.sessions} sessions failed"))
        failed = [[str(each.sessions), each.type, each.policy, each.host, each.reason] for each in tls.failures]
        output.table(["sessions", "failure", "policy", "server", prose("reason")], failed, tls)
    output.next(f"kannon domains dns {name} --verify")


def _summary(response: GetReportsResponse) -> str:
    dmarc = response.dmarc
    if not response.reporters:
        return "no reports yet: providers send them to the addresses in the rua tags that kannon domains dns prints"
    reporters = len({each.name for each in response.reporters})
    text = f"{percent(dmarc.aligned, dmarc.mails)} of {dmarc.mails} mails aligned, by {reporters} reporters"
    failing = sum(1 for each in dmarc.sources if each.dkim < each.mails)
    text += f"; {failing} of {dmarc.source_count} addresses fail DKIM" if failing else "; DKIM passes everywhere"
    if dmarc.quarantined or dmarc.rejected:
        text += f"; {dmarc.quarantined} mails quarantined, {dmarc.rejected} rejected"
    return text


@client_command(app, "check")
async def check(session: Session, name: Name) -> None:
    """Let the server look up the DNS records of a domain. Exits 1 if one is wrong."""
    response = await session.admin.check_records(name)
    for warning in response.warnings:
        print(f"kannon: warning: {warning}", file=sys.stderr)
    rows = [[r.purpose, r.name, r.kind, r.value, r.problem or "good", r.hint] for r in response.records]
    session.output.table(["for", "name", "type", "value", "found", prose("what to do")], rows, response)
    if not all(record.good for record in response.records):
        raise typer.Exit(1)
