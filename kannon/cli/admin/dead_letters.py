"""`kannon dead-letters`: messages that no component can handle, and the reason."""

from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import Total
from kannon.cli.table import prose

app = typer.Typer(help="Messages that no component can handle.", no_args_is_help=True, add_completion=False)

Sequence = Annotated[int, typer.Argument(metavar="SEQUENCE", min=1, show_default=False)]


@client_command(app, "list")
async def list_(
    session: Session,
    after: Annotated[int, typer.Option(min=0, metavar="SEQUENCE", help="Only messages after this one.")] = 0,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="At most this many.")] = 100,
) -> None:
    """List dead letters, the oldest first. --json includes their content."""
    response = await session.admin.list_dead_letters(after=after, take=limit)
    time = session.output.time
    rows = [[str(m.sequence), time(m.parked_at), m.subject, f"{m.size} B", m.reason] for m in response.messages]
    columns = ["sequence", "since", "subject", "size", prose("reason")]
    session.output.table(columns, rows, response, Total("dead letter", "dead letters", response.total))
    if rows:
        session.output.next(f"kannon dead-letters retry {rows[0][0]}, or kannon dead-letters delete {rows[0][0]}")


@client_command(app, "retry")
async def retry(session: Session, sequence: Sequence) -> None:
    """Publish a dead letter again on its subject, after an update that can handle it."""
    await session.admin.retry_dead_letter(sequence)
    session.output.lines(f"{sequence} is published again", {"sequence": sequence})
    session.output.next("kannon dead-letters list")


@client_command(app, "delete")
async def delete(session: Session, sequence: Sequence) -> None:
    """Delete a dead letter. Its content is lost."""
    await session.admin.delete_dead_letter(sequence)
    session.output.lines(f"{sequence} is deleted", {"sequence": sequence})
    session.output.next("kannon dead-letters list")
