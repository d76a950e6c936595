"""`kannon stats`: what became of a domain's mail, once or as it happens."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import anyio
import typer

from kannon.cli.moments import parse_moment
from kannon.cli.output import moment, printable
from kannon.cli.session import Session, client_command
from kannon.pb.stats.types.stats_pb2 import Stats

app = typer.Typer(add_completion=False)

WATCH_SECONDS = 1.0
_PAGE = 1000
_COLUMNS = ["time", "type", "address", "detail", "message"]


@client_command(app, "stats")
async def stats(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)],
    since: Annotated[str, typer.Option(help='From when: "2h" ago, or an ISO time.')] = "24h",
    until: Annotated[str, typer.Option(help="To when, alike. Default: now.")] = "",
    limit: Annotated[int, typer.Option(min=0, max=10000, help="How many single events to show.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with each new event, until interrupted.")] = False,
) -> None:
    """Show counts by type and the latest events; with --watch each new event."""
    now = datetime.now(UTC)
    from_time, to_time = parse_moment(since, now, "--since"), parse_moment(until, now, "--until") if until else now
    if watch:
        await _watch(session, domain, now)
        return
    events = await session.admin.list_stats(domain, from_time=from_time, to_time=to_time, take=limit)
    counts: dict[str, int] = {}
    for hour in (await session.admin.count_stats(domain, from_time=from_time, to_time=to_time)).stats:
        counts[hour.type] = counts.get(hour.type, 0) + hour.count
    document = {"counts": counts, "total": events.total, "stats": list(events.stats)}
    if not session.output.as_json:
        print("  ".join(f"{name} {count}" for name, count in counts.items()) or "no events")
    session.output.table(_COLUMNS, [_row(event) for event in events.stats], document)


async def _watch(session: Session, domain: str, start: datetime) -> None:
    """Asks every second; events that come late by less than a minute are still shown, each once."""
    shown: dict[str, datetime] = {}
    while True:
        now = datetime.now(UTC)
        since = max(start, now - timedelta(minutes=1))
        page = await session.admin.list_stats(domain, from_time=since, take=_PAGE)
        for event in reversed(page.stats):
            if event.event_id not in shown:
                shown[event.event_id] = event.timestamp.ToDatetime(UTC)
                _show(session, event)
        shown = {event_id: at for event_id, at in shown.items() if at >= since}
        await anyio.sleep(WATCH_SECONDS)


def _show(session: Session, event: Stats) -> None:
    if session.output.as_json:
        session.output.json(event)
    else:
        print("  ".join(printable(cell) for cell in _row(event)), flush=True)


def _row(event: Stats) -> list[str]:
    return [moment(event.timestamp), event.type, event.email, detail(event), event.message_id]


def detail(event: Stats) -> str:
    """What an event says beyond its type, in one line."""
    data = event.data
    match data.WhichOneof("data"):
        case "bounced":
            return f"{data.bounced.code or ''} {data.bounced.msg}".strip()
        case "error":
            return f"{data.error.code or ''} {data.error.msg}".strip()
        case "rejected":
            return data.rejected.reason
        case "failed":
            return data.failed.reason
        case "clicked":
            return data.clicked.url
        case _:
            return event.host
