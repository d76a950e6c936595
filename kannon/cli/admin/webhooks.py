"""`kannon webhooks`: the endpoints to which a domain's events are posted, and what became of the requests."""

from datetime import UTC, datetime
from typing import Annotated

import anyio
import typer

from kannon.cli.completion import complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.errors import OperatorError, Unavailable
from kannon.mail.webhook import MAX_BATCH
from kannon.pb.admin.v1.webhooks_pb2 import Attempt, Endpoint

app = typer.Typer(help="Endpoints that hear of a domain's events.", no_args_is_help=True, add_completion=False)

_TEST_SECONDS = 30.0  # the component posts at once, and waits 15 s for an answer
_LOOK_SECONDS = 0.2
_SHOWN_ANSWER = 60

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", show_default=False)]


@client_command(app, "add")
async def add(
    session: Session,
    domain: Domain,
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False)],
    types: Annotated[
        str, typer.Option(metavar="TYPE,...", help='Only these events, such as "delivery.bounced". Default: all.')
    ] = "",
    max_batch: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH, help="Events in one request. From 2 on the body is a list.")
    ] = 1,
) -> None:
    """Add an endpoint. Prints its secret, which is not shown again."""
    wanted = [name.strip() for name in types.split(",") if name.strip()]
    created = await session.admin.create_endpoint(domain, url, types=wanted, max_batch=max_batch)
    session.output.lines(f"{created.endpoint.id}\nsecret: {created.secret}", created)
    session.output.next(f"kannon webhooks test {created.endpoint.id}")


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False, autocompletion=complete_domain)] = "",
) -> None:
    """List the endpoints of a domain, or of all domains."""
    endpoints = await session.admin.list_endpoints(domain)
    rows = [[e.id, e.domain, e.url, _state(session.output, e), ", ".join(e.types) or "all"] for e in endpoints]
    columns = ["endpoint", "domain", "url", prose("state"), prose("types")]
    session.output.table(columns, rows, {"endpoints": endpoints}, Total("endpoint", "endpoints"))
    if rows:
        session.output.next(f"kannon webhooks show {rows[0][0]}")


@client_command(app, "show")
async def show(
    session: Session,
    endpoint: EndpointId,
    attempts: Annotated[int, typer.Option(min=0, max=100, help="How many of the last attempts to show.")] = 10,
) -> None:
    """Show an endpoint and its last attempts."""
    found = await session.admin.find_endpoint(endpoint)
    shown = await session.admin.list_attempts(endpoint, take=attempts)
    if session.output.as_json:
        session.output.json({"endpoint": found.endpoint, "waiting": found.waiting, "attempts": shown})
        return
    about = found.endpoint
    rows = [
        ["endpoint", about.id],
        ["domain", about.domain],
        ["url", about.url],
        ["types", ", ".join(about.types) or "all"],
        ["events in a request", str(about.max_batch)],
        ["state", _state(session.output, about)],
        ["waiting", str(found.waiting)],
        ["given up", str(about.given_up)],
        ["last success", session.output.time(about.last_success_at) if about.HasField("last_success_at") else "none"],
    ]
    session.output.table(["", ""], rows, None)
    session.output.table(
        ["at", "events", "first", prose("result"), "ms", prose("answer")],
        [
            [
                session.output.time(a.at),
                str(a.events),
                a.type,
                _result(a),
                str(a.milliseconds),
                a.answer[:_SHOWN_ANSWER],
            ]
            for a in shown
        ],
        None,
    )


@client_command(app, "rotate")
async def rotate(session: Session, endpoint: EndpointId) -> None:
    """Make a new secret. For 24 hours requests are signed with the former one too."""
    rotated = await session.admin.rotate_secret(endpoint)
    session.output.lines(f"secret: {rotated.secret}", rotated)


@client_command(app, "test")
async def test(session: Session, endpoint: EndpointId) -> None:
    """Post a sample event and print the answer. Exits 1 if it fails."""
    event_id = await session.admin.test_endpoint(endpoint)
    attempt = await _wait_for(session, endpoint, event_id)
    session.output.lines(f"{_result(attempt)} in {attempt.milliseconds} ms", attempt)
    if attempt.problem:
        raise OperatorError(f"the endpoint did not take the event: {attempt.problem}")


async def _wait_for(session: Session, endpoint: str, event_id: str) -> Attempt:
    with anyio.move_on_after(_TEST_SECONDS):
        while True:
            for attempt in await session.admin.list_attempts(endpoint):
                if attempt.request_id == event_id:
                    return attempt
            await anyio.sleep(_LOOK_SECONDS)
    raise Unavailable(f"no attempt within {_TEST_SECONDS:g} s: does the component webhooks run?")


@client_command(app, "replay")
async def replay(
    session: Session,
    endpoint: EndpointId,
    from_: Annotated[str, typer.Option("--from", help='Since: "2d" ago, or an ISO time.', show_default=False)],
    to: Annotated[str, typer.Option("--to", help="Until, likewise. Default: now.")] = "",
) -> None:
    """Post the stored events of a span of time again, after new ones. They have the ids that they had."""
    now = datetime.now(UTC)
    count = await session.admin.replay_events(
        endpoint, from_time=parse_time(from_, now, "--from"), to_time=parse_time(to, now, "--to") if to else None
    )
    session.output.lines(f"{count} events are posted again", {"count": count})


@client_command(app, "enable")
async def enable(session: Session, endpoint: EndpointId) -> None:
    """Switch an endpoint on. What waits for it is posted at once."""
    changed = await session.admin.set_endpoint_enabled(endpoint, enabled=True)
    session.output.lines(f"{changed.id} is on", changed)


@client_command(app, "disable")
async def disable(session: Session, endpoint: EndpointId) -> None:
    """Switch an endpoint off. It misses the events until it is on again; what waits is kept for 30 days."""
    changed = await session.admin.set_endpoint_enabled(endpoint, enabled=False)
    session.output.lines(f"{changed.id} is off", changed)


@client_command(app, "remove")
async def remove(session: Session, endpoint: EndpointId) -> None:
    """Remove an endpoint and what waits for it."""
    await session.admin.delete_endpoint(endpoint)
    session.output.lines(f"{endpoint} is removed", {"removed": endpoint})


def _state(output: Output, endpoint: Endpoint) -> str:
    if not endpoint.enabled:
        return f"off since {output.time(endpoint.disabled_at)}: {endpoint.disabled_reason}"
    if endpoint.HasField("failing_since"):
        return f"failing since {output.time(endpoint.failing_since)}"
    return "on"


def _result(attempt: Attempt) -> str:
    return attempt.problem or str(attempt.status)
