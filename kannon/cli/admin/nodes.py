"""`kannon nodes`: which processes run, where, since when, and how busy each is."""

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import local_time
from kannon.pb.admin.v1.nodes_pb2 import Node

app = typer.Typer(add_completion=False)


@client_command(app, "nodes")
async def nodes(session: Session) -> None:
    """List the processes of all machines: what runs where, since when, how busy."""
    response = await session.admin.list_nodes()
    columns = ["host", "process", "pid", "components", "not ready", "since", "cpu", "mails/s", "version"]
    session.output.table(columns, [_row(node) for node in response.nodes], response)


def _row(node: Node) -> list[str]:
    return [
        node.host,
        str(node.process),
        str(node.pid),
        " ".join(node.components),
        " ".join(node.not_ready),
        local_time(node.started_at),
        f"{node.cpu:.0%}",
        f"{node.attempts_per_second:.1f}",
        node.version,
    ]
