"""`kannon domains`: add, list, show, what to publish in the DNS, and how much may be tracked."""

from enum import StrEnum
from typing import Annotated

import typer

from kannon.cli.session import Session, client_command
from kannon.pb.admin.apiv1.adminapiv1_pb2 import Domain
from kannon.pb.tracking.types import tracking_pb2
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode

app = typer.Typer(help="Domains that mail is sent for.", no_args_is_help=True, add_completion=False)

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


def _row(domain: Domain) -> tuple[str, str, str]:
    return domain.domain, _mode(domain.tracking.opens), _mode(domain.tracking.links)


def _mode(mode: TrackingMode) -> str:
    return TrackingMode.Name(mode).removeprefix("TRACKING_MODE_").lower()
