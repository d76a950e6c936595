"""`kannon queue`: lists waiting mail, explains why a mail has not arrived, and retries, pauses or cancels."""

from typing import Annotated, Any

import typer

from kannon.cli.admin.stats import detail
from kannon.cli.connection import Session, client_command
from kannon.cli.output import local_time, printable
from kannon.pb.admin.v1.destinations_pb2 import Destination
from kannon.pb.admin.v1.operations_pb2 import Delivery, GetTimelineResponse, Pause

app = typer.Typer(help="Mail that has no outcome yet.", no_args_is_help=True, add_completion=False)

BatchOption = Annotated[str, typer.Option("--batch", metavar="MESSAGE_ID", help="Only this batch.")]
DomainOption = Annotated[str, typer.Option("--domain", metavar="DOMAIN", help="Only this sender domain.")]
DestinationOption = Annotated[str, typer.Option("--destination", metavar="DOMAIN", help="Only this recipient domain.")]


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False)] = "",
    batch: BatchOption = "",
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Only this recipient.")] = "",
    state: Annotated[str, typer.Option(help="Only this state: to_validate, validating, scheduled or sending.")] = "",
    tag: Annotated[str, typer.Option(help="Only of batches with this tag; needs DOMAIN.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List waiting deliveries, the next due first."""
    if tag and not domain:
        raise typer.BadParameter("give a DOMAIN with --tag")
    response = await session.admin.list_deliveries(domain, message_id=batch, email=to, state=state, take=limit, tag=tag)
    columns = ["id", "address", "state", "next try", "tries", "last reply"]
    session.output.table(columns, [_row(d) for d in response.deliveries], response)


@client_command(app, "why")
async def why(
    session: Session,
    which: Annotated[str, typer.Argument(metavar="ID|MESSAGE_ID", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="[ADDRESS]", show_default=False)] = "",
) -> None:
    """Show why a mail has not arrived: the state and events of a delivery, given by ID or by batch and address."""
    if which.isdecimal() == bool(address):
        raise typer.BadParameter("give either the ID of a delivery, or a MESSAGE_ID and an ADDRESS")
    if address:
        response = await session.admin.find_timeline(message_id=which, email=address)
    else:
        response = await session.admin.find_timeline(int(which))
    if not session.output.as_json:
        print(printable(summarize(response)))
    rows = [
        [local_time(e.timestamp), e.type, detail(e), " ".join(filter(None, (e.stage, e.host)))] for e in response.events
    ]
    session.output.table(["time", "event", "detail", "where"], rows, response)


@client_command(app, "retry")
async def retry(
    session: Session,
    delivery_id: Annotated[int, typer.Argument(metavar="[ID]", min=0, show_default=False)] = 0,
    batch: BatchOption = "",
    domain: DomainOption = "",
    destination: DestinationOption = "",
) -> None:
    """Retry waiting deliveries now."""
    if not (delivery_id or batch or domain or destination):
        raise typer.BadParameter("give the ID of a delivery, --batch, --domain or --destination")
    count = await session.admin.retry_now(
        delivery_id=delivery_id, message_id=batch, domain=domain, destination=destination
    )
    session.output.lines(f"{count} deliveries are retried now", {"count": count})


@client_command(app, "cancel")
async def cancel(
    session: Session, delivery_id: Annotated[int, typer.Argument(metavar="ID", min=1, show_default=False)]
) -> None:
    """Cancel a delivery for good."""
    response = await session.admin.cancel_delivery(delivery_id)
    text = (
        "cancelled, but a sender has it already: this attempt may still deliver it"
        if response.under_way
        else "cancelled"
    )
    session.output.lines(text, response)


@client_command(app, "pause")
async def pause(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Pause a batch, a sender domain or a recipient domain. New mail is still accepted, and waits."""
    held = await session.admin.pause(**_one(batch, domain, destination))
    session.output.lines(f"{_subject(held)} is paused", held)


@client_command(app, "resume")
async def resume(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Resume what pause has paused."""
    count = await session.admin.resume(**_one(batch, domain, destination))
    session.output.lines(f"resumed; {count} deliveries are due now", {"released_count": count})


@client_command(app, "pauses")
async def pauses(session: Session) -> None:
    """List the pauses."""
    held = await session.admin.list_pauses()
    rows = [[each.WhichOneof("subject") or "", _subject(each), local_time(each.since)] for each in held]
    session.output.table(["kind", "name", "since"], rows, held)


@client_command(app, "destinations")
async def destinations(
    session: Session,
    host: Annotated[str, typer.Argument(metavar="[HOST]", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List the destination mail servers, or those with HOST in their names, the busiest first."""
    response = await session.admin.list_destinations(host, take=limit)
    columns = ["mail servers", "waiting", "in flight", "connections", "TLS", "last verdict", "next probe", "sender"]
    session.output.table(columns, [_destination_row(each) for each in response.destinations], response)


def summarize(timeline: GetTimelineResponse) -> str:
    """The state of a delivery in one line."""
    if not timeline.HasField("waiting"):
        last = [e for e in timeline.events if e.type in ("rejected", "delivered", "bounced", "failed")]
        # A bounce may arrive after the delivery, so the last event counts.
        return f"{last[-1].type}: {detail(last[-1])}" if last else "ended"
    delivery = timeline.waiting
    tried = "not tried yet"
    if delivery.attempts:
        times = "once" if delivery.attempts == 1 else f"{delivery.attempts} times"
        tried = f"tried {times}, last reply: {_last(delivery)}"
    if delivery.HasField("cancelled_at"):
        return f"cancelled {local_time(delivery.cancelled_at)}; {tried}"
    if delivery.state == "sending":
        return f"in flight; {tried}"
    if delivery.paused_by:
        return f"paused ({', '.join(delivery.paused_by)}); {tried}"
    if delivery.state != "scheduled":
        return "not validated yet"
    if not delivery.HasField("next_attempt_at"):
        return f"its pause has just ended; {tried}"
    reason = f": {delivery.last_text}" if delivery.last_text and not delivery.attempts else ""
    return f"waits until {local_time(delivery.next_attempt_at)}; {tried}{reason}"


def _one(batch: str, domain: str, destination: str) -> dict[str, Any]:
    if sum(map(bool, (batch, domain, destination))) != 1:
        raise typer.BadParameter("give one of --batch, --domain and --destination")
    return {"message_id": batch, "domain": domain, "destination": destination}


def _subject(pause: Pause) -> str:
    return pause.message_id or pause.domain or pause.destination


def _row(delivery: Delivery) -> list[str]:
    state = "cancelled" if delivery.HasField("cancelled_at") else delivery.state
    when = local_time(delivery.next_attempt_at) if delivery.HasField("next_attempt_at") else ""
    when = "paused" if delivery.paused_by else when
    return [str(delivery.delivery_id), delivery.email, state, when, str(delivery.attempts), _last(delivery)]


def _destination_row(each: Destination) -> list[str]:
    probe = f"in {each.next_probe_seconds:.0f} s" if each.HasField("next_probe_seconds") else ""
    connections = f"{each.connections} of {each.connection_limit}"
    verified = each.tls.rpartition(" ")[2] or "clear text"
    tls = f"{each.tls_policy}: {verified}" if each.connections else each.tls_policy
    return [each.site, str(each.waiting), str(each.in_flight), connections, tls, each.last_verdict, probe, each.sender]


def _last(delivery: Delivery) -> str:
    parts = (delivery.last_stage, str(delivery.last_code or ""), delivery.last_text, delivery.last_host)
    return " ".join(part for part in parts if part)
