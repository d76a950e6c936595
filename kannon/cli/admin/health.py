"""`kannon health`: asks a running server whether its dependencies and components work.

In: the address of a server, or this machine's configuration. Out: "ok", or a line for each failure and exit code 1. If
the configuration has no API, the command reads the metrics listener.
"""

from http.client import HTTPConnection, HTTPException

import anyio.to_thread
import typer

from kannon.cli.connection import Session, client_command
from kannon.errors import Unavailable

app = typer.Typer(add_completion=False)

_SECONDS = 3.0
_PROBLEMS = {"kannon_up": "does not answer", "kannon_component_ready": "is not ready"}


@client_command(app, "health")
async def health(session: Session) -> None:
    """Check a running server. Exits 1 if a dependency or component fails."""
    if session.endpoint.is_named or "api" in session.endpoint.config.components.enabled:
        failing = dict(await session.anonymous.failing_checks())
    else:
        text = await anyio.to_thread.run_sync(_read_metrics, session.endpoint.config.metrics.listen)
        failing = failing_in(text)
    session.output.lines("\n".join(f"{name}: {problem}" for name, problem in failing.items()) or "ok", failing)
    if failing:
        raise typer.Exit(1)


def failing_in(metrics: str) -> dict[str, str]:
    """Name → problem, from the text of /metrics. `kannon_up{dependency="nats"} 0.0` is a failure."""
    failing: dict[str, str] = {}
    for line in metrics.splitlines():
        series, _, value = line.rpartition(" ")
        family, _, labels = series.partition("{")
        if family in _PROBLEMS and float(value) == 0:
            failing[labels.split('"')[1]] = _PROBLEMS[family]
    return failing


def _read_metrics(listen: str) -> str:
    """Raises Unavailable."""
    from kannon.config import split_listen

    if not listen:
        raise Unavailable(
            "the configuration has neither the api component nor metrics.listen, so there is nothing to ask"
        )
    host, port = split_listen(listen)
    connection = HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=_SECONDS)  # noqa: S104
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, HTTPException) as error:
        raise Unavailable(f"metrics.listen: {listen}: {error}") from None
    finally:
        connection.close()
