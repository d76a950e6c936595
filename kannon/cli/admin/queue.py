"""`kannon queue`: lists waiting mail, explains why a mail has not arrived, and retries, pauses or cancels."""

from typing import Annotated, Any

import typer

from kannon.cli.admin.events import detail, merge_last_deferral
from kannon.cli.completion import complete_batch, complete_delivery, complete_delivery_or_batch, complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total, printable
from kannon.cli.table import prose
from kannon.mail.delivery import State
from kannon.pb.admin.v1.destinations_pb2 import Destination
from kannon.pb.admin.v1.operations_pb2 import Delivery, GetTimelineResponse, Pause

app = typer.Typer(help="Mail that has no outcome yet.", no_args_is_help=True, add_completion=False)

MOST = 10_000  # waiting deliveries that the server counts

BatchOption = Annotated[
    str,
    typer.Option("--batch", metavar="MESSAGE_ID", help="Only this batch.", autocompletion=complete_batch),
]
DomainOption = Annotated[
    str,
    typer.Option("--domain", metavar="DOMAIN", help="Only this sender domain.", autocompletion=complete_domain),
]
DestinationOption = Annotated[str, typer.Option("--destination", metavar="DOMAIN", help="Only this recipient domain.")]


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False, autocompletion=complete_domain)] = "",
    batch: BatchOption = "",
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Only this recipient.")] = "",
    state: Annotated[State | None, typer.Option(help="Only this state.", show_default=False)] = None,
    tag: Annotated[str, typer.Option(help="Only of batches with this tag; needs DOMAIN.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List waiting deliveries, the next due first."""
    if tag and not domain:
        raise typer.BadParameter("give a DOMAIN with --tag")
    response = await session.admin.list_deliveries(
        domain, message_id=batch, email=to, state=state or "", take=limit, tag=tag
    )
    columns = ["id", "address", "state", "next try", "tries", prose("last reply", "yellow")]
    rows = [_row(session.output, delivery) for delivery in response.deliveries]
    session.output.table(columns, rows, response, Total("waiting mail", "waiting mails", response.total, MOST))
    if rows:
        session.output.next(f"kannon queue why {rows[0][0]}")


@client_command(app, "why")
async def why(
    session: Session,
    which: Annotated[
        str, typer.Argument(metavar="ID|MESSAGE_ID", show_default=False, autocompletion=complete_delivery_or_batch)
    ],
    address: Annotated[str, typer.Argument(metavar="[ADDRESS]", show_default=False)] = "",
) -> None:
    """Show why a mail has not arrived: the state and events of a delivery, given by ID or by batch and address."""
    if which.isdecimal() == bool(address):
        raise typer.BadParameter("give either the ID of a delivery, or a MESSAGE_ID and an ADDRESS")
    if address:
        response = await session.admin.find_timeline(message_id=which, email=address)
    else:
        response = await session.admin.find_timeline(int(which))
    output = session.output
    if not output.as_json:
        print(printable(summarize(response, output)))
    rows = [
        [output.time(e.timestamp), e.type, detail(e), " ".join(filter(None, (e.stage, e.host)))]
        for e in merge_last_deferral(response.events)
    ]
    output.table(["time", "event", prose("detail"), "where"], rows, response)
    if response.HasField("waiting"):
        number = response.waiting.delivery_id
        output.next(f"kannon queue retry {number}, or kannon queue cancel {number}")


@client_command(app, "retry")
async def retry(
    session: Session,
    delivery_id: Annotated[
        int, typer.Argument(metavar="[ID]", min=0, show_default=False, autocompletion=complete_delivery)
    ] = 0,
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
    session.output.next(f"kannon queue why {delivery_id}" if delivery_id else "kannon queue list")


@client_command(app, "cancel")
async def cancel(
    session: Session,
    delivery_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, show_default=False, autocompletion=complete_delivery)
    ],
) -> None:
    """Cancel a delivery for good."""
    response = await session.admin.cancel_delivery(delivery_id)
    text = (
        "cancelled, but a sender has it already: this attempt may still deliver it"
        if response.under_way
        else "cancelled"
    )
    session.output.lines(text, response)
    session.output.next(f"kannon queue why {delivery_id}")


@client_command(app, "pause")
async def pause(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Pause a batch, a sender domain or a recipient domain. New mail is still accepted, and waits."""
    held = await session.admin.pause(**_one(batch, domain, destination))
    session.output.lines(f"{_subject(held)} is paused", held)
    session.output.next(f"kannon queue resume --{_KINDS[held.WhichOneof('subject') or '']} {_subject(held)}")


@client_command(app, "resume")
async def resume(
    session: Session, batch: BatchOption = "", domain: DomainOption = "", destination: DestinationOption = ""
) -> None:
    """Resume what pause has paused."""
    count = await session.admin.resume(**_one(batch, domain, destination))
    session.output.lines(f"resumed; {count} deliveries are due now", {"released_count": count})
    session.output.next("kannon queue list")


@client_command(app, "pauses")
async def pauses(session: Session) -> None:
    """List the pauses."""
    held = await session.admin.list_pauses()
    time = session.output.time
    rows = [[_KINDS[each.WhichOneof("subject") or ""], _subject(each), time(each.since), each.reason] for each in held]
    session.output.table(["kind", "name", "since", prose("the guard's reason")], rows, held, Total("pause", "pauses"))
    if rows:
        session.output.next(f"kannon queue resume --{rows[0][0]} {rows[0][1]}")


@client_command(app, "destinations")
async def destinations(
    session: Session,
    host: Annotated[str, typer.Argument(metavar="[HOST]", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
) -> None:
    """List the destination mail servers, or those with HOST in their names, the busiest first."""
    response = await session.admin.list_destinations(host, take=limit)
    columns = [
        "mail servers",
        "waiting",
        "in flight",
        "connections",
        "TLS",
        prose("last verdict"),
        "next probe",
        "sender",
    ]
    rows = [_destination_row(each) for each in response.destinations]
    if any(each.source for each in response.destinations):
        columns.append("from")
        for row, each in zip(rows, response.destinations, strict=True):
            row.append(f"{each.source} (warm-up: {each.warm_up})" if each.warm_up else each.source)
    session.output.table(columns, rows, response, Total("destination", "destinations", response.total))


def summarize(timeline: GetTimelineResponse, output: Output) -> str:
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
        return f"cancelled {output.time(delivery.cancelled_at)}; {tried}"
    if delivery.state == "sending":
        return f"in flight; {tried}"
    if delivery.paused_by:
        return f"paused ({', '.join(delivery.paused_by)}); {tried}"
    if delivery.state != "scheduled":
        return "not validated yet"
    if not delivery.HasField("next_attempt_at"):
        return f"its pause has just ended; {tried}"
    reason = f": {delivery.last_text}" if delivery.last_text and not delivery.attempts else ""
    return f"next try {output.time(delivery.next_attempt_at)}; {tried}{reason}"


_KINDS = {"message_id": "batch", "domain": "domain", "destination": "destination", "": ""}


def _one(batch: str, domain: str, destination: str) -> dict[str, Any]:
    if sum(map(bool, (batch, domain, destination))) != 1:
        raise typer.BadParameter("give one of --batch, --domain and --destination")
    return {"message_id": batch, "domain": domain, "destination": destination}


def _subject(pause: Pause) -> str:
    return pause.message_id or pause.domain or pause.destination


def _row(output: Output, delivery: Delivery) -> list[str]:
    state = "cancelled" if delivery.HasField("cancelled_at") else delivery.state
    when = output.time(delivery.next_attempt_at) if delivery.HasField("next_attempt_at") else ""
    when = "paused" if delivery.paused_by else when
    return [str(delivery.delivery_id), delivery.email, state, when, str(delivery.attempts), _last(delivery)]


def _destination_row(each: Destination) -> list[str]:
    probe = f"in {each.next_probe_seconds:.0f} s" if each.HasField("next_probe_seconds") else ""
    connections = f"{each.connections} of {each.connection_limit}"
    verified = each.tls.rpartition(" ")[2] or "clear text"
    tls = f"{each.tls_policy}: {verified}" if each.connections else each.tls_policy
    return [each.site, str(each.waiting), str(each.in_flight), connections, tls, each.last_verdict, probe, each.sender]


def _last(delivery: Delivery) -> str:
    # The text of a failure without a reply begins with its stage.
    stage = "" if delivery.last_text.startswith(f"{delivery.last_stage}:") else delivery.last_stage
    parts = (stage, str(delivery.last_code or ""), delivery.last_text, delivery.last_host)
    return " ".join(part for part in parts if part)


@client_command(app, "find")
async def find(session: Session, header: Annotated[str, typer.Argument(metavar="HEADER", show_default=False)]) -> None:
    """Find the delivery under way whose mail has this Message-ID."""
    response = await session.admin.find_by_message_id(header)
    session.output.lines(str(response.delivery_id), response)
    session.output.next(f"kannon queue why {response.delivery_id}")
