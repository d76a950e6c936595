"""`kannon overview`: what happened in the last hours with all domains together, and what waits."""

from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import Total

app = typer.Typer(add_completion=False)


@client_command(app, "overview")
async def overview(
    session: Session,
    hours: Annotated[int, typer.Option(min=1, max=744, help="The present hour and those before it.")] = 24,
) -> None:
    """Count what happened with all domains together, and what waits."""
    response = await session.admin.get_overview(hours=hours)
    counts: dict[str, int] = {}
    for each in response.hours:
        counts[each.type] = counts.get(each.type, 0) + each.count
    rows = [[name, str(count), ""] for name, count in sorted(counts.items())]
    rows += [[each.state, str(each.count), f"{each.overdue_seconds:.0f} s"] for each in response.waiting]
    session.output.table(["what", "count", "overdue"], rows, response, Total("line", "lines"))
