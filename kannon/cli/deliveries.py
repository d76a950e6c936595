"""`kannon deliveries`: mail without an outcome yet, and everything that happened to one."""

from typing import Annotated

import typer

from kannon.cli.output import moment
from kannon.cli.session import Session, client_command
from kannon.cli.stats import detail
from kannon.pb.admin.v1.operations_pb2 import Delivery

app = typer.Typer(help="Deliveries: one recipient's copy.", no_args_is_help=True, add_completion=False)


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)],
    message: Annotated[str, typer.Option(help="Only of this batch.")] = "",
    email: Annotated[str, typer.Option(help="Only to this address.")] = "",
    state: Annotated[str, typer.Option(help="to_validate, validating, scheduled or sending.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List deliveries that wait, the next due first."""
    response = await session.admin.list_deliveries(domain, message_id=message, email=email, state=state, take=limit)
    columns = ["id", "address", "state", "next try", "tries", "last reply"]
    session.output.table(columns, [_row(d) for d in response.deliveries], response)


@client_command(app, "show")
async def show(
    session: Session, delivery_id: Annotated[int, typer.Argument(metavar="ID", min=1, show_default=False)]
) -> None:
    """Show everything that happened to one delivery, oldest first."""
    response = await session.admin.find_timeline(delivery_id)
    rows = [[moment(e.timestamp), e.type, detail(e), e.host] for e in response.events]
    if response.HasField("waiting"):
        _, _, state, when, tries, last = _row(response.waiting)
        rows.append([when, state, last, f"tried {tries} times"])
    session.output.table(["time", "event", "detail", "host"], rows, response)


def _row(delivery: Delivery) -> list[str]:
    when = moment(delivery.next_attempt_at) if delivery.HasField("next_attempt_at") else "paused"
    last = " ".join(
        part
        for part in (delivery.last_stage, str(delivery.last_code or ""), delivery.last_text, delivery.last_host)
        if part
    )
    return [str(delivery.delivery_id), delivery.email, delivery.state, when, str(delivery.attempts), last]
