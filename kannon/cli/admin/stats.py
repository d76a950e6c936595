"""`kannon stats`: shows the counts and events of a domain, a batch or a recipient, once or continuously."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from kannon.cli.admin.chart import sparkline
from kannon.cli.admin.events import ENDINGS, detail, merge_last_deferral
from kannon.cli.completion import complete_batch, complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total, plain, printable
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.mail.event import EventType
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsRes
from kannon.pb.stats.types.stats_pb2 import Stats, StatsAggregated

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(add_completion=False)

WATCH_SECONDS = 1.0
_PAGE = 1000
_COLUMNS = ("time", "type", "address", prose("detail"), "message")
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 10_000  # events of a batch, or to an address, that the server counts


@dataclass(frozen=True, slots=True)
class Span:
    """[from, to)."""

    from_time: datetime
    to_time: datetime


@dataclass(frozen=True, slots=True)
class Chosen:
    """The events to show. Empty: all of the domain."""

    domain: str
    batch: str = ""
    to: str = ""
    types: tuple[str, ...] = ()
    tag: str = ""

    @property
    def is_narrow(self) -> bool:
        """No counter knows how many there are in an hour."""
        return bool(self.batch or self.to)

    async def list(self, session: Session, span: Span, limit: int) -> GetStatsRes:
        """The newest, in calls of at most _PAGE."""
        found = GetStatsRes()
        while True:
            answer = await session.admin.list_stats(
                self.domain,
                from_time=span.from_time,
                to_time=span.to_time,
                take=min(limit - len(found.stats), _PAGE),
                message_id=self.batch,
                email=self.to,
                types=self.types,
                tag=self.tag,
                page_token=found.next_page_token,
            )
            found.total, found.next_page_token = answer.total, answer.next_page_token
            found.stats.extend(answer.stats)
            if not answer.next_page_token or len(found.stats) >= limit:
                return found

    async def count(self, session: Session, span: Span) -> Sequence[StatsAggregated]:
        """By type and hour; nothing where no counter knows."""
        if self.is_narrow:
            return []
        hours = await session.admin.count_stats(
            self.domain, from_time=span.from_time, to_time=span.to_time, tag=self.tag
        )
        return [each for each in hours.stats if not self.types or each.type in self.types]


@client_command(app, "stats")
async def stats(
    session: Session,
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False, autocompletion=complete_domain)] = "",
    batch: Annotated[
        str, typer.Option(metavar="MESSAGE_ID", help="Only this batch.", autocompletion=complete_batch)
    ] = "",
    kind: Annotated[
        list[EventType] | None, typer.Option("--type", help="Only this type; may be repeated.", show_default=False)
    ] = None,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Only this recipient.")] = "",
    since: Annotated[
        str,
        typer.Option(
            help='Only events at or after this time: "2h" (ago) or an ISO time. Default: 24h; all with --batch or --to.'
        ),
    ] = "",
    until: Annotated[str, typer.Option(help="Only events before this time. Same formats. Default: now.")] = "",
    tag: Annotated[str, typer.Option(help="Only events of batches with this tag.")] = "",
    limit: Annotated[int, typer.Option(min=0, max=10000, help="Show at most this many events.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Update until interrupted.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print each event as it is stored, a line each. Without DOMAIN of all.")
    ] = False,
) -> None:
    """Show counts by type and hour, and the latest events. DOMAIN may be left out if there is only one."""
    now = datetime.now(UTC)
    domain = domain or batch.rpartition("@")[2]
    if not domain and not follow:
        domain = await _only_domain(session)
    chosen = Chosen(domain, batch, to, tuple(each.value for each in kind or ()), tag)
    begin = EARLIEST if chosen.is_narrow and not since else parse_time(since or "24h", now, "--since")
    if watch and not follow and session.output.at_terminal:
        await _watch(session, chosen, now - begin, limit)
    elif watch or follow:
        await _follow(session, chosen)
    else:
        span = Span(begin, parse_time(until, now, "--until") if until else now)
        await _show_once(session, chosen, span, limit)


async def _only_domain(session: Session) -> str:
    domains = [each.domain for each in await session.admin.list_domains()]
    if len(domains) != 1:
        raise typer.BadParameter(
            f"give a DOMAIN: one of {', '.join(domains)}" if domains else "there is no domain yet: add one"
        )
    return domains[0]


async def _show_once(session: Session, chosen: Chosen, span: Span, limit: int) -> None:
    output = session.output
    events = await chosen.list(session, span, limit)
    hours = await chosen.count(session, span)
    counts = [(name, total) for name, total, _ in _summary(hours, span)]
    document = {"counts": dict(counts), "hours": list(hours), "total": events.total, "stats": list(events.stats)}
    shown = merge_last_deferral(events.stats)
    if output.at_terminal:
        if hours:
            output.table(["type", "count", "by hour"], _chart(hours, span), document)
            print()
    elif not output.as_json and not chosen.is_narrow:
        print("  ".join(f"{name} {count}" for name, count in counts) or "no events")
    # A deferral that is merged with the end of its delivery is shown too.
    total = Total("event", "events", events.total - len(events.stats) + len(shown), MOST if chosen.is_narrow else 0)
    # At a terminal of 80 columns the batch needs a line of its own, which says nothing where it is given.
    width = len(_COLUMNS) - 1 if chosen.batch and output.at_terminal else len(_COLUMNS)
    output.table(_COLUMNS[:width], [_row(output, event)[:width] for event in shown], document, total)
    if shown and (hint := next((e for e in shown if e.delivery_id and e.type in ("error", *ENDINGS)), None)):
        output.next(f"kannon queue why {hint.delivery_id}")


async def _watch(session: Session, chosen: Chosen, back: timedelta, limit: int) -> None:
    """Redraws the chart and the latest events every second."""
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            now = datetime.now(UTC)
            span = Span(now - back, now)
            hours = await chosen.count(session, span)
            events = await chosen.list(session, span, min(limit, _PAGE))
            rows = [_row(session.output, event) for event in merge_last_deferral(events.stats)]
            live.update(_dashboard(chosen.domain, _chart(hours, span), rows), refresh=True)
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


async def _follow(session: Session, chosen: Chosen) -> None:
    """Prints each event as a line when it is stored, once, also across interruptions."""
    stream = session.admin.watch_events(
        chosen.domain, types=chosen.types, message_id=chosen.batch, email=chosen.to, tag=chosen.tag
    )
    async for response in stream:
        for event in response.events:
            if session.output.as_json:
                print(json.dumps(plain(event), ensure_ascii=False))
            else:
                print("  ".join(printable(cell) for cell in _row(session.output, event)))
        sys.stdout.flush()


def _summary(hours: Sequence[StatsAggregated], span: Span) -> list[tuple[str, int, str]]:
    """Type, count and sparkline."""
    by_type: dict[str, dict[datetime, int]] = {}
    for each in hours:
        by_type.setdefault(each.type, {})[each.timestamp.ToDatetime(UTC)] = each.count
    return [(t, sum(c.values()), sparkline(c, span.from_time, span.to_time)) for t, c in sorted(by_type.items())]


def _chart(hours: Sequence[StatsAggregated], span: Span) -> list[list[str]]:
    return [[name, str(total), line] for name, total, line in _summary(hours, span)]


def _row(output: Output, event: Stats) -> list[str]:
    return [output.time(event.timestamp), event.type, event.email, detail(event), event.message_id]
