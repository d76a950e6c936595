"""`kannon domains`: add, list, show, what to publish in the DNS, and how much may be tracked."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import typer
from anyio import to_thread

from kannon.cli.admin import dkim
from kannon.cli.connection import Session, client_command
from kannon.hostname import name_host
from kannon.mail.dns.records import Record, RecordCheck, ServerNames, check_record, records_for
from kannon.pb.admin.apiv1.adminapiv1_pb2 import Domain
from kannon.pb.tracking.types import tracking_pb2
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode

app = typer.Typer(help="Domains that mail is sent for.", no_args_is_help=True, add_completion=False)
app.add_typer(dkim.app, name="dkim")

Name = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)]


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


@client_command(app, "add")
async def add(session: Session, name: Name) -> None:
    """Add a domain; its DKIM key is made with it."""
    domain = await session.admin.create_domain(name)
    text = f"{domain.domain} is added. Next: kannon domains dns {domain.domain}, kannon keys create {domain.domain}"
    session.output.lines(text, domain)


@client_command(app, "list")
async def list_(session: Session) -> None:
    """List the domains."""
    domains = await session.admin.list_domains()
    session.output.table(["domain", "opens", "links"], [_row(d) for d in domains], domains)


@client_command(app, "show")
async def show(session: Session, name: Name) -> None:
    """Show a domain."""
    domain = await session.admin.find_domain(name)
    rows = [("domain", domain.domain), ("opens", _row(domain)[1]), ("links", _row(domain)[2])]
    session.output.table(["", ""], [*rows, ("dkim p=", domain.dkim_pub_key)], domain)


@client_command(app, "tracking")
async def tracking(
    session: Session,
    name: Name,
    opens: Annotated[Mode | None, typer.Option(help="The most that opens may tell.")] = None,
    links: Annotated[Mode | None, typer.Option(help="The most that clicks may tell.")] = None,
) -> None:
    """Show or set how much the domain's mail may track."""
    domain = await session.admin.find_domain(name)
    if opens is not None or links is not None:
        domain = await session.admin.set_tracking(
            name,
            opens=domain.tracking.opens if opens is None else opens.message,
            links=domain.tracking.links if links is None else links.message,
        )
    session.output.table(["domain", "opens", "links"], [_row(domain)], domain)


@client_command(app, "dns")
async def dns(
    session: Session,
    name: Name,
    verify: Annotated[bool, typer.Option("--verify", help="Look each up; exit code 1 unless all will do.")] = False,
    host: Annotated[str, typer.Option(help="The sending host. Default: sender.hostname, else this host.")] = "",
) -> None:
    """Print the DNS records that the domain needs."""
    domain = await session.admin.find_domain(name)
    config = session.place.config
    sender = config.sender.model_copy(update={"hostname": host or config.sender.hostname})
    config = await to_thread.run_sync(name_host, config.model_copy(update={"sender": sender}))
    tracking = urlsplit(config.bump.base_url).hostname or ""
    servers = ServerNames(config.sender.hostname, config.smtp.hostname, tracking)
    keys = await session.admin.list_dkim_keys(domain.domain)
    records = records_for(domain.domain, [dkim.record(key) for key in keys if key.publish], servers)
    checks: list[RecordCheck] = []
    if verify:
        from kannon.dns_lookup import make_lookup  # the resolver takes longer to import than all the rest

        look_up = make_lookup(config.dns.nameservers)
        checks = [check_record(record, await look_up(record.name, record.kind)) for record in records]
    _print_records(session, records, checks)
    if not all(check.good for check in checks):
        raise typer.Exit(1)


def _print_records(session: Session, records: list[Record], checks: list[RecordCheck]) -> None:
    columns = ["for", "name", "type", "value"]
    rows = [[r.purpose.value, r.name, r.kind.value, r.value] for r in records]
    document: list[dict[str, object]] = [dict(zip(("purpose", *columns[1:]), row, strict=True)) for row in rows]
    if checks:
        columns += ["found", "hint"]
        rows = [[*row, f.problem or "good", f.hint] for row, f in zip(rows, checks, strict=True)]
        for each, f in zip(document, checks, strict=True):
            each |= {"good": f.good, "problem": f.problem, "hint": f.hint}
    session.output.table(columns, rows, document)


def _row(domain: Domain) -> tuple[str, str, str]:
    return domain.domain, _mode(domain.tracking.opens), _mode(domain.tracking.links)


def _mode(mode: TrackingMode) -> str:
    return TrackingMode.Name(mode).removeprefix("TRACKING_MODE_").lower()
