"""`kannon batches`: what was sent, how far it is, and what can still be done about it."""

from typing import Annotated

import typer

from kannon.cli.output import moment
from kannon.cli.session import Session, client_command
from kannon.pb.admin.v1.operations_pb2 import Batch

app = typer.Typer(help="Batches: the mail of one send.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)]
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE_ID", show_default=False)]


@client_command(app, "list")
async def list_(
    session: Session, domain: Domain, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20
) -> None:
    """List the batches of a domain, newest first."""
    response = await session.admin.list_batches(domain, take=limit)
    columns = ["created", "message", "subject", "accepted", "rejected", "waiting", ""]
    session.output.table(columns, [_row(batch) for batch in response.batches], response)


@client_command(app, "show")
async def show(session: Session, message_id: MessageId) -> None:
    """Show a batch: what waits, by state, and what happened, by type."""
    response = await session.admin.find_batch(message_id)
    batch = response.batch
    rows = [
        ["message", batch.message_id],
        ["subject", batch.subject],
        ["from", batch.sender_email],
        ["template", batch.template_id or "(deleted)"],
        ["created", moment(batch.created_at)],
        ["scheduled", moment(batch.scheduled_time)],
        ["accepted", str(batch.accepted_count)],
        ["rejected", str(batch.rejected_count)],
        *([["paused", "until kannon batches resume"]] if batch.paused else []),
        *[[f"waiting: {state}", str(count)] for state, count in sorted(response.waiting.items())],
        *[[f"events: {kind}", str(count)] for kind, count in sorted(response.events.items())],
    ]
    session.output.table(["", ""], rows, response)


@client_command(app, "cancel")
async def cancel(session: Session, message_id: MessageId) -> None:
    """End what no sender has yet; each becomes a failed event."""
    response = await session.admin.cancel_batch(message_id)
    text = f"cancelled {response.cancelled_count}, under way {response.under_way_count}"
    session.output.lines(text, response)


@client_command(app, "pause")
async def pause(session: Session, message_id: MessageId) -> None:
    """Hold what no sender has yet."""
    batch = await session.admin.pause_batch(message_id)
    session.output.lines(f"{batch.waiting_count} deliveries wait until kannon batches resume {message_id}", batch)


@client_command(app, "resume")
async def resume(session: Session, message_id: MessageId) -> None:
    """Go on with a paused batch."""
    batch = await session.admin.resume_batch(message_id)
    session.output.lines(f"{batch.waiting_count} deliveries go on", batch)


@client_command(app, "retry")
async def retry(
    session: Session,
    message_id: MessageId,
    delivery: Annotated[int, typer.Option(min=0, help="Only this one. Default: all that wait.")] = 0,
) -> None:
    """Try waiting deliveries now instead of at their next time."""
    count = await session.admin.retry_now(message_id, delivery_id=delivery)
    session.output.lines(f"{count} deliveries are tried now", {"count": count})


def _row(batch: Batch) -> list[str]:
    counts = [str(batch.accepted_count), str(batch.rejected_count), str(batch.waiting_count)]
    return [moment(batch.created_at), batch.message_id, batch.subject, *counts, "paused" if batch.paused else ""]
