"""`kannon queue`: mail without an outcome yet, why one has not arrived, and what can be done about it."""

from typing import Annotated, Any

import typer

from kannon.cli.admin.stats import detail
from kannon.cli.connection import Session, client_command
from kannon.cli.output import moment, printable
from kannon.pb.admin.v1.destinations_pb2 import Destination
from kannon.pb.admin.v1.operations_pb2 import Delivery, GetTimelineResponse, Pause

app = typer.Typer(help="Mail without an outcome yet.", no_args_is_help=True, add_completion=False)

BatchOption = Annotated[str, typer.Option("--batch", metavar="MESSAGE_ID", help="Of this batch.")]
DomainOption = Annotated[str, typer.Option("--domain", metavar="DOMAIN", help="Of this domain of ours.")]
DestinationOption = Annotated[str, typer.Option("--destination", metavar="DOMAIN", help="To this domain.")]


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False)] = "",
    batch: BatchOption = "",
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Only to this address.")] = "",
    state: Annotated[str, typer.Option(help="to_validate, validating, scheduled or sending.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List deliveries that wait, the next due first."""
    response = await session.admin.list_deliveries(domain, message_id=batch, email=to, state=state, take=limit)
    columns = ["id", "address", "state", "next try", "tries", "last reply"]
    session.output.table(columns, [_row(d) for d in response.deliveries], response)


@client_command(app, "why")
async def why(
    session: Session,
    which: Annotated[str, typer.Argument(metavar="ID|MESSAGE_ID", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="[ADDRESS]", show_default=False)] = "",
) -> None:
    """Say why a mail has not arrived: all that happened to a delivery, or to a batch's mail to an address."""
    if which.isdecimal() == bool(address):
        raise typer.BadParameter("either the id of a delivery, or a message id and an address")
    if address:
        response = await session.admin.find_timeline(message_id=which, email=address)
    else:
        response = await session.admin.find_timeline(int(which))
    if not session.output.as_json:
        print(printable(standing(response)))
    rows = [
        [moment(e.timestamp), e.type, detail(e), " ".join(filter(None, (e.stage, e.host)))] for e in response.events
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
    """Try waiting deliveries now instead of at their next time."""
    if not (delivery_id or batch or domain or destination):
        raise typer.BadParameter("give the id of a delivery, --batch, --domain or --destination")
    count = await session.admin.retry_now(
        delivery_id=delivery_id, message_id=batch, domain=domain, destination=destination
    )
    session.output.lines(f"{count} deliveries are tried now", {"count": count})


@client_command(app, "cancel")
async def cancel(
    session: Session, delivery_id: Annotated[int, typer.Argument(metavar="ID", min=1, show_default=False)]
) -> None:
    """Make no further attempt, for good."""
    response = await session.admin.cancel_delivery(delivery_id)
    text = "a sender has it: it may still be delivered, and is not tried again" if response.under_way else "cancelled"
    session.output.lines(text, response)


@client_command(app, "pause")
async def pause(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Hand nothing of these to a sender, until resumed; new mail is taken and waits."""
    held = await session.admin.pause(**_one(batch, domain, destination))
    session.output.lines(f"{_subject(held)} is paused", held)


@client_command(app, "resume")
async def resume(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Go on."""
    count = await session.admin.resume(**_one(batch, domain, destination))
    session.output.lines(f"{count} deliveries that were due go on", {"released_count": count})


@client_command(app, "pauses")
async def pauses(session: Session) -> None:
    """List what is paused."""
    held = await session.admin.list_pauses()
    rows = [[each.WhichOneof("subject") or "", _subject(each), moment(each.since)] for each in held]
    session.output.table(["what", "which", "since"], rows, held)


@client_command(app, "destinations")
async def destinations(
    session: Session,
    host: Annotated[str, typer.Argument(metavar="[HOST]", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List the mail servers that mail goes to (or those with HOST in their names), the busiest first."""
    response = await session.admin.list_destinations(host, take=limit)
    columns = ["mail servers", "waiting", "in flight", "connections", "last verdict", "next probe", "sender"]
    session.output.table(columns, [_destination_row(each) for each in response.destinations], response)


def standing(timeline: GetTimelineResponse) -> str:
    """Where a delivery stands, in one line."""
    if not timeline.HasField("waiting"):
        last = [e for e in timeline.events if e.type in ("rejected", "delivered", "bounced", "failed")]
        # A bounce that comes after the delivery is the last word.
        return f"{last[-1].type}: {detail(last[-1])}" if last else "ended"
    delivery = timeline.waiting
    tried = "not tried yet"
    if delivery.attempts:
        times = "once" if delivery.attempts == 1 else f"{delivery.attempts} times"
        tried = f"tried {times}, the last time: {_last(delivery)}"
    if delivery.HasField("cancelled_at"):
        return f"cancelled {moment(delivery.cancelled_at)}; {tried}"
    if delivery.state == "sending":
        return f"with a sender; {tried}"
    if delivery.paused_by:
        return f"paused ({', '.join(delivery.paused_by)}); {tried}"
    if delivery.state != "scheduled":
        return "its address is still to be checked"
    if not delivery.HasField("next_attempt_at"):
        return f"its pause has ended this moment; {tried}"
    return f"waits until {moment(delivery.next_attempt_at)}; {tried}{'' if delivery.attempts else _waits_for(delivery)}"


def _waits_for(delivery: Delivery) -> str:
    return f": {delivery.last_text}" if delivery.last_text else ""


def _one(batch: str, domain: str, destination: str) -> dict[str, Any]:
    if sum(map(bool, (batch, domain, destination))) != 1:
        raise typer.BadParameter("give one of --batch, --domain and --destination")
    return {"message_id": batch, "domain": domain, "destination": destination}


def _subject(pause: Pause) -> str:
    return pause.message_id or pause.domain or pause.destination


def _row(delivery: Delivery) -> list[str]:
    state = "cancelled" if delivery.HasField("cancelled_at") else delivery.state
    when = moment(delivery.next_attempt_at) if delivery.HasField("next_attempt_at") else ""
    when = "paused" if delivery.paused_by else when
    return [str(delivery.delivery_id), delivery.email, state, when, str(delivery.attempts), _last(delivery)]


def _destination_row(each: Destination) -> list[str]:
    probe = f"in {each.next_probe_seconds:.0f} s" if each.HasField("next_probe_seconds") else ""
    connections = f"{each.connections} of {each.connection_limit}"
    return [each.site, str(each.waiting), str(each.in_flight), connections, each.last_verdict, probe, each.sender]


def _last(delivery: Delivery) -> str:
    parts = (delivery.last_stage, str(delivery.last_code or ""), delivery.last_text, delivery.last_host)
    return " ".join(part for part in parts if part)
