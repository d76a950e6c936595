"""`kannon batches`: lists, shows, cancels, pauses and resumes batches."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import local_time
from kannon.cli.timeparse import parse_time
from kannon.pb.admin.v1.operations_pb2 import Batch

app = typer.Typer(help="Batches: a batch is the mail of one send.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)]
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE_ID", show_default=False)]


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Domain,
    since: Annotated[
        str, typer.Option(help='Only batches created at or after this time: "2h" (ago) or an ISO time.')
    ] = "",
    until: Annotated[str, typer.Option(help="Only batches created before this time. Same formats.")] = "",
    tag: Annotated[str, typer.Option(help="Only batches with this tag.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List the batches of a domain, newest first."""
    now = datetime.now(UTC)
    response = await session.admin.list_batches(
        domain,
        from_time=parse_time(since, now, "--since") if since else None,
        to_time=parse_time(until, now, "--until") if until else None,
        take=limit,
        tag=tag,
    )
    columns = ["created", "message", "subject", "tag", "accepted", "rejected", "waiting", ""]
    session.output.table(columns, [_row(batch) for batch in response.batches], response)


@client_command(app, "show")
async def show(session: Session, message_id: MessageId) -> None:
    """Show a batch: its waiting deliveries by state and its events by type."""
    response = await session.admin.find_batch(message_id)
    batch = response.batch
    rows = [
        ["message", batch.message_id],
        ["subject", batch.subject],
        ["from", batch.sender_email],
        ["template", batch.template_id or "(deleted)"],
        *([["tag", batch.tag]] if batch.tag else []),
        *[[f"metadata: {key}", value] for key, value in sorted(batch.metadata.items())],
        ["created", local_time(batch.created_at)],
        ["scheduled", local_time(batch.scheduled_time)],
        ["accepted", str(batch.accepted_count)],
        ["rejected", str(batch.rejected_count)],
        *([["paused", "until kannon batches resume, or kannon queue resume"]] if batch.paused else []),
        *([["cancelled", local_time(batch.cancelled_at)]] if batch.HasField("cancelled_at") else []),
        *[[f"waiting: {state}", str(count)] for state, count in sorted(response.waiting.items())],
        *[[e.type, f"{e.count}, {local_time(e.first_at)} to {local_time(e.last_at)}"] for e in response.events],
    ]
    session.output.table(["", ""], rows, response)


@client_command(app, "cancel")
async def cancel(session: Session, message_id: MessageId) -> None:
    """Cancel a batch for good. Deliveries that no sender has yet fail now; the others are not retried."""
    response = await session.admin.cancel_batch(message_id)
    text = f"cancelled {response.cancelled_count}, in flight {response.under_way_count}"
    session.output.lines(text, response)


@client_command(app, "reschedule")
async def reschedule(
    session: Session,
    message_id: MessageId,
    at: Annotated[str, typer.Option(help='The new time: "2h" from now, or an ISO time; now sends it at once.')],
) -> None:
    """Move a batch to another time: the deliveries that no sender has had yet, paused ones too."""
    now = datetime.now(UTC)
    when = now if at == "now" else parse_time(at, now, "--at", ahead=True)
    domain = message_id.rpartition("@")[2]
    response = await session.tenant(domain, "").reschedule(message_id, when)
    left = f"; {response.left_count} stay as they are" if response.left_count else ""
    session.output.lines(
        f"moved {response.moved_count} deliveries to {local_time(response.scheduled_time)}{left}", response
    )


@client_command(app, "pause")
async def pause(session: Session, message_id: MessageId) -> None:
    """Pause a batch: deliveries that no sender has yet wait."""
    held = await session.admin.pause(message_id=message_id)
    session.output.lines(f"paused until kannon batches resume {message_id}", held)


@client_command(app, "resume")
async def resume(session: Session, message_id: MessageId) -> None:
    """Resume a paused batch."""
    count = await session.admin.resume(message_id=message_id)
    session.output.lines(f"resumed; {count} deliveries are due now", {"released_count": count})


def _row(batch: Batch) -> list[str]:
    counts = [str(batch.accepted_count), str(batch.rejected_count), str(batch.waiting_count)]
    state = "cancelled" if batch.HasField("cancelled_at") else "paused" if batch.paused else ""
    return [local_time(batch.created_at), batch.message_id, batch.subject, batch.tag, *counts, state]
