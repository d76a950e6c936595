"""`kannon health`: does the server answer, and is all well with it?"""

import typer

from kannon.cli.session import Session, client_command

app = typer.Typer(add_completion=False)


@client_command(app, "health")
async def health(session: Session) -> None:
    """Ask a running server whether all is well; exit code 1 if not."""
    failing = dict(await session.anyone.failing_checks())
    session.output.lines("\n".join(f"{name}: {problem}" for name, problem in failing.items()) or "ok", failing)
    if failing:
        raise typer.Exit(1)
