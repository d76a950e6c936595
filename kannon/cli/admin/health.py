"""`kannon health`: does the server answer, and is all well with it?

In: the address of a server, or this machine's configuration. Out: "ok", or what fails, and exit code 1. A process whose
configuration has no API is asked through its metrics.
"""

from http.client import HTTPConnection, HTTPException

import anyio.to_thread
import typer

from kannon.cli.connection import Session, client_command
from kannon.errors import Unavailable

app = typer.Typer(add_completion=False)

_SECONDS = 3.0
_TELLING = {"kannon_up": "does not answer", "kannon_component_ready": "does not serve"}


@client_command(app, "health")
async def health(session: Session) -> None:
    """Ask a running server whether all is well; exit code 1 if not."""
    if session.place.is_named or "api" in session.place.config.components.enabled:
        failing = dict(await session.anyone.failing_checks())
    else:
        text = await anyio.to_thread.run_sync(_read_metrics, session.place.config.metrics.listen)
        failing = failing_in(text)
    session.output.lines("\n".join(f"{name}: {problem}" for name, problem in failing.items()) or "ok", failing)
    if failing:
        raise typer.Exit(1)


def failing_in(metrics: str) -> dict[str, str]:
    """Dependencies and components that are not well, by name. `kannon_up{dependency="nats"} 0.0` is such a line."""
    failing: dict[str, str] = {}
    for line in metrics.splitlines():
        series, _, value = line.rpartition(" ")
        family, _, labels = series.partition("{")
        if family in _TELLING and float(value) == 0:
            failing[labels.split('"')[1]] = _TELLING[family]
    return failing


def _read_metrics(listen: str) -> str:
    """Raises Unavailable."""
    from kannon.config import split_listen

    if not listen:
        raise Unavailable("this configuration has neither an API nor metrics: nobody can be asked")
    host, port = split_listen(listen)
    connection = HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=_SECONDS)  # noqa: S104
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, HTTPException) as error:
        raise Unavailable(f"metrics.listen: {listen}: {error}") from None
    finally:
        connection.close()
