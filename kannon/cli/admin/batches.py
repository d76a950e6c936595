"""`kannon batches`: lists, shows, cancels, pauses and resumes batches."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from kannon.cli.completion import complete_batch, complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.pb.admin.v1.operations_pb2 import Batch, Happened

app = typer.Typer(help="Batches: a batch is the mail of one send.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE_ID", show_default=False, autocompletion=complete_batch)]


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
    columns = ["created", "message", prose("subject"), "tag", "accepted", "rejected", "waiting", "state"]
    rows = [_row(session.output, batch) for batch in response.batches]
    session.output.table(columns, rows, response, Total("batch", "batches", response.total))
    if rows:
        session.output.next(f"kannon batches show {response.batches[0].message_id}")


@client_command(app, "show")
async def show(session: Session, message_id: MessageId) -> None:
    """Show a batch: its waiting deliveries by state and its events by type."""
    response = await session.admin.find_batch(message_id)
    batch, time = response.batch, session.output.time
    refused = f", and {batch.rejected_count} rejected in the call" if batch.rejected_count else ""
    rows = [
        ("message", batch.message_id),
        ("subject", batch.subject),
        ("from", batch.sender_email),
        ("template", batch.template_id or "(deleted)"),
        *([("tag", batch.tag)] if batch.tag else []),
        *[(f"metadata: {key}", value) for key, value in sorted(batch.metadata.items())],
        ("created", time(batch.created_at)),
        ("scheduled", time(batch.scheduled_time)),
        ("recipients", f"{batch.accepted_count}{refused}"),
        *([("paused", "until kannon batches resume, or kannon queue resume")] if batch.paused else []),
        *([("the guard's reason", batch.pause_reason)] if batch.pause_reason else []),
        *([("cancelled", time(batch.cancelled_at))] if batch.HasField("cancelled_at") else []),
        *[(f"waiting: {state}", str(count)) for state, count in sorted(response.waiting.items())],
        *[(e.type, f"{e.count}, {_span(session.output, e)}") for e in response.events],
    ]
    session.output.pairs(rows, response)
    if response.waiting:
        session.output.next(f"kannon queue list --batch {batch.message_id}")
    elif response.events:
        session.output.next(f"kannon stats {batch.domain} --batch {batch.message_id}")


@client_command(app, "cancel")
async def cancel(session: Session, message_id: MessageId) -> None:
    """Cancel a batch for good. Deliveries that no sender has yet fail now; the others are not retried."""
    response = await session.admin.cancel_batch(message_id)
    text = f"cancelled {response.cancelled_count}, in flight {response.under_way_count}"
    session.output.lines(text, response)
    session.output.next(f"kannon batches show {message_id}")


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
    moment = session.output.time(response.scheduled_time)
    session.output.lines(f"moved {response.moved_count} deliveries to {moment}{left}", response)
    session.output.next(f"kannon batches show {message_id}")


@client_command(app, "pause")
async def pause(session: Session, message_id: MessageId) -> None:
    """Pause a batch: deliveries that no sender has yet wait."""
    held = await session.admin.pause(message_id=message_id)
    session.output.lines(f"paused until kannon batches resume {message_id}", held)
    session.output.next(f"kannon batches resume {message_id}")


@client_command(app, "resume")
async def resume(session: Session, message_id: MessageId) -> None:
    """Resume a paused batch."""
    count = await session.admin.resume(message_id=message_id)
    session.output.lines(f"resumed; {count} deliveries are due now", {"released_count": count})
    session.output.next(f"kannon batches show {message_id}")


def _span(output: Output, events: Happened) -> str:
    first, last = output.time(events.first_at), output.time(events.last_at)
    return first if first == last and output.at_terminal else f"{first} to {last}"


def _row(output: Output, batch: Batch) -> list[str]:
    counts = [str(batch.accepted_count), str(batch.rejected_count), str(batch.waiting_count)]
    state = "cancelled" if batch.HasField("cancelled_at") else "paused" if batch.paused else ""
    return [output.time(batch.created_at), batch.message_id, batch.subject, batch.tag, *counts, state]


@client_command(app, "engagement")
async def engagement(session: Session, message_id: MessageId) -> None:
    """Count the opens and clicks of a batch, by hour and by link."""
    response = await session.admin.get_engagement(message_id)
    rows = [[session.output.time(each.hour), each.type, str(each.count)] for each in response.hours]
    rows += [["", each.url, str(each.count)] for each in response.links]
    session.output.table(["hour", prose("what"), "count"], rows, response, Total("line", "lines"))
