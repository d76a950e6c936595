"""`kannon audit`: who changed what, through every way in."""

from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import Total
from kannon.cli.table import prose

app = typer.Typer(add_completion=False)


@client_command(app, "audit")
async def audit(
    session: Session,
    domain: Annotated[str, typer.Option(help="Only changes of this domain.")] = "",
    action: Annotated[str, typer.Option(metavar="SERVICE.METHOD", help="Only this kind of change.")] = "",
    before: Annotated[int, typer.Option(min=0, metavar="ID", help="Only entries before this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
) -> None:
    """List changes, the newest first: when, who, what, to what. Kannon keeps them for a year."""
    response = await session.admin.list_audit(before=before, take=limit, domain=domain, action=action)
    columns = ["id", "when", "who", "from", "what", "domain", prose("to what")]
    rows = [
        [
            str(entry.id),
            session.output.time(entry.at),
            f"{entry.actor} ({entry.attribution})" if entry.attribution else entry.actor,
            f"{entry.way} {entry.peer}".strip(),
            entry.action,
            entry.domain,
            f"{entry.subject}{'' if entry.done else ' (end not recorded)'}",
        ]
        for entry in response.entries
    ]
    session.output.table(columns, rows, response, Total("change", "changes"))
    if len(rows) == limit:
        session.output.next(f"kannon audit --before {rows[-1][0]}")
