"""`kannon stats`: shows the counts and events of a domain, once or continuously."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from kannon.cli.admin.chart import sparkline
from kannon.cli.connection import Session, client_command
from kannon.cli.output import local_time, printable
from kannon.cli.timeparse import parse_time
from kannon.pb.stats.types.stats_pb2 import Stats, StatsAggregated

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(add_completion=False)

WATCH_SECONDS = 1.0
_PAGE = 1000
_COLUMNS = ["time", "type", "address", "detail", "message"]


@dataclass(frozen=True, slots=True)
class Span:
    """[from, to)."""

    from_time: datetime
    to_time: datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """The events of a domain; with a tag only those that have it."""

    domain: str
    tag: str


@client_command(app, "stats")
async def stats(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False)] = "",
    since: Annotated[str, typer.Option(help='Only events at or after this time: "2h" (ago) or an ISO time.')] = "24h",
    until: Annotated[str, typer.Option(help="Only events before this time. Same formats. Default: now.")] = "",
    tag: Annotated[str, typer.Option(help="Only events of batches with this tag.")] = "",
    limit: Annotated[int, typer.Option(min=0, max=10000, help="Show at most this many events.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Update until interrupted.")] = False,
) -> None:
    """Show counts by type and hour, and the latest events. DOMAIN is optional if there is only one."""
    now = datetime.now(UTC)
    domain = domain or await _only_domain(session)
    from_time = parse_time(since, now, "--since")
    which = Filter(domain, tag)
    if watch and sys.stdout.isatty() and not session.output.as_json:
        await _watch(session, which, now - from_time, limit)
    elif watch:
        await _follow(session, which, now)
    else:
        span = Span(from_time, parse_time(until, now, "--until") if until else now)
        await _show_once(session, which, span, limit)


async def _only_domain(session: Session) -> str:
    domains = [each.domain for each in await session.admin.list_domains()]
    if len(domains) != 1:
        raise typer.BadParameter(
            f"give a DOMAIN: one of {', '.join(domains)}" if domains else "there is no domain yet: add one"
        )
    return domains[0]


async def _show_once(session: Session, which: Filter, span: Span, limit: int) -> None:
    events = await session.admin.list_stats(
        which.domain, from_time=span.from_time, to_time=span.to_time, take=limit, tag=which.tag
    )
    hours = await _count(session, which, span)
    counts = [(name, total) for name, total, _ in _summary(hours, span)]
    document = {"counts": dict(counts), "hours": list(hours), "total": events.total, "stats": list(events.stats)}
    if sys.stdout.isatty() and not session.output.as_json:
        session.output.table(["type", "count", "by hour"], _chart(hours, span), document)
        print()
    elif not session.output.as_json:
        print("  ".join(f"{name} {count}" for name, count in counts) or "no events")
    session.output.table(_COLUMNS, [_row(event) for event in events.stats], document)


async def _count(session: Session, which: Filter, span: Span) -> Sequence[StatsAggregated]:
    answer = await session.admin.count_stats(
        which.domain, from_time=span.from_time, to_time=span.to_time, tag=which.tag
    )
    return answer.stats


async def _watch(session: Session, which: Filter, back: timedelta, limit: int) -> None:
    """Redraws the chart and the latest events every second."""
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            now = datetime.now(UTC)
            span = Span(now - back, now)
            hours = await _count(session, which, span)
            events = await session.admin.list_stats(
                which.domain, from_time=span.from_time, take=min(limit, _PAGE), tag=which.tag
            )
            rows = [_row(event) for event in events.stats]
            live.update(_dashboard(which.domain, _chart(hours, span), rows), refresh=True)
            await anyio.sleep(WATCH_SECONDS)


def _dashboard(domain: str, chart: Sequence[Sequence[str]], events: Sequence[Sequence[str]]) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = Table("type", "count", "by hour", box=None, pad_edge=False, header_style="bold", title=Text(domain))
    latest = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for table, rows in ((counts, chart), (latest, events)):
        table.title_justify = "left"
        for row in rows:
            table.add_row(*(Text(printable(cell), overflow="ellipsis", no_wrap=True) for cell in row))
    return Group(counts, "", latest)


async def _follow(session: Session, which: Filter, start: datetime) -> None:
    """Prints each new event as a line. Polls every second; an event up to a minute late is shown too, once."""
    shown: dict[str, datetime] = {}
    while True:
        now = datetime.now(UTC)
        since = max(start, now - timedelta(minutes=1))
        page = await session.admin.list_stats(which.domain, from_time=since, take=_PAGE, tag=which.tag)
        for event in reversed(page.stats):
            if event.event_id not in shown:
                shown[event.event_id] = event.timestamp.ToDatetime(UTC)
                _print_event(session, event)
        shown = {event_id: at for event_id, at in shown.items() if at >= since}
        await anyio.sleep(WATCH_SECONDS)


def _print_event(session: Session, event: Stats) -> None:
    if session.output.as_json:
        session.output.json(event)
    else:
        print("  ".join(printable(cell) for cell in _row(event)), flush=True)


def _summary(hours: Sequence[StatsAggregated], span: Span) -> list[tuple[str, int, str]]:
    """Type, count and sparkline."""
    by_type: dict[str, dict[datetime, int]] = {}
    for each in hours:
        by_type.setdefault(each.type, {})[each.timestamp.ToDatetime(UTC)] = each.count
    return [(t, sum(c.values()), sparkline(c, span.from_time, span.to_time)) for t, c in sorted(by_type.items())]


def _chart(hours: Sequence[StatsAggregated], span: Span) -> list[list[str]]:
    return [[name, str(total), line] for name, total, line in _summary(hours, span)]


def _row(event: Stats) -> list[str]:
    return [local_time(event.timestamp), event.type, event.email, detail(event), event.message_id]


def detail(event: Stats) -> str:
    """The reply, reason or URL of an event in one line."""
    data = event.data
    match data.WhichOneof("data"):
        case "delivered":
            reply = f"{data.delivered.code or ''} {data.delivered.msg}".strip() or event.host
            return f"{reply} ({event.tls})" if event.tls else reply
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
