"""`kannon nodes`: which processes run, where, since when, and how busy each is."""

from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.pb.admin.v1.nodes_pb2 import Node

app = typer.Typer(add_completion=False)


@client_command(app, "nodes")
async def nodes(
    session: Session,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the configuration in force at the server instead.")
    ] = False,
) -> None:
    """List the processes of all machines: what runs where, since when, how busy."""
    if settings:
        config = await session.admin.get_config()
        session.output.lines(config.toml.rstrip(), config)
        return
    response = await session.admin.list_nodes()
    columns = [
        "host",
        "process",
        "pid",
        prose("components"),
        prose("not ready", "red"),
        "since",
        "cpu",
        "mails/s",
        "version",
    ]
    rows = [_row(session.output, node) for node in response.nodes]
    session.output.table(columns, rows, response, Total("process", "processes"))


def _row(output: Output, node: Node) -> list[str]:
    return [
        node.host,
        str(node.process),
        str(node.pid),
        " ".join(node.components),
        " ".join(node.not_ready),
        output.time(node.started_at),
        f"{node.cpu:.0%}",
        f"{node.attempts_per_second:.1f}",
        node.version,
    ]
