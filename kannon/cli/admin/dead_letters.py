"""`kannon parked`: messages that no component could handle, and why."""

from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import moment

app = typer.Typer(help="Messages set aside because nobody can handle them.", no_args_is_help=True, add_completion=False)

Sequence = Annotated[int, typer.Argument(metavar="SEQUENCE", min=1, show_default=False)]


@client_command(app, "list")
async def list_(
    session: Session,
    after: Annotated[int, typer.Option(min=0, metavar="SEQUENCE", help="Those behind this one.")] = 0,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="How many.")] = 100,
) -> None:
    """List them, the first one set aside first; --json has what they hold."""
    response = await session.admin.list_dead_letters(after=after, take=limit)
    rows = [[str(m.sequence), moment(m.parked_at), m.subject, f"{m.size} B", m.reason] for m in response.messages]
    session.output.table(["sequence", "since", "subject", "size", "why"], rows, response)


@client_command(app, "retry")
async def retry(session: Session, sequence: Sequence) -> None:
    """Send one back to where it came from, after an update that can handle it."""
    await session.admin.retry_dead_letters(sequence)
    session.output.lines(f"{sequence} is on its way again", {"sequence": sequence})


@client_command(app, "delete")
async def delete(session: Session, sequence: Sequence) -> None:
    """Throw one away."""
    await session.admin.delete_dead_letters(sequence)
    session.output.lines(f"{sequence} is deleted", {"sequence": sequence})
