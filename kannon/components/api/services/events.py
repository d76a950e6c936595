"""kannon.stats.v1.Events: events in the order in which they are stored, by pages and as a stream.

In: a filter and a cursor, which is the position of an event in decimal digits. Out: events and the cursor after them.
"""

import time
from collections.abc import AsyncGenerator, Callable

from kannon.components.api.callers import Caller
from kannon.components.api.event_tail import EventTail, Watcher
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, found, plain_text
from kannon.db import domains, events
from kannon.db.pool import Database
from kannon.errors import InvalidArgument, LimitExceeded
from kannon.mail.event import EventType
from kannon.mail.event_filter import EventFilter
from kannon.mail.labels import check_tag
from kannon.mail.send_request import MAX_ADDRESS
from kannon.pb.stats.v1 import events_pb2 as pb
from kannon.wire.events import to_stats

DEFAULT_TAKE = 100
STREAM_PAGE = 200
"""Events in one message of a stream, some 60 KB."""
CHECK_SECONDS = 1.0
"""A revoked key ends its streams within this time and that of the key's memory."""
SILENCE_SECONDS = 15.0
"""Then a message without events tells the client its cursor, and the server whether the client is still there."""
_MAX_MESSAGE_ID = 300
_MAX_DIGITS = 18


class EventMethods:
    def __init__(self, db: Database, tail: EventTail, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._tail = tail
        self._clock = clock

    async def List(self, caller: Caller, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        wanted = await self._filter(request)
        cursor = await self._cursor(request.cursor)
        take = min(request.take or DEFAULT_TAKE, MAX_PAGE)
        page = await events.list_events(self._db, wanted, cursor=cursor, take=take, newest_first=request.newest_first)
        return pb.ListEventsResponse(
            events=[to_stats(stored.event) for stored in page.events], next_cursor=str(page.next), more=page.more
        )

    async def Watch(self, caller: Caller, request: pb.WatchEventsRequest) -> AsyncGenerator[pb.WatchEventsResponse]:
        wanted = await self._filter(request)
        cursor = await self._cursor(request.cursor)
        after = await events.find_newest_position(self._db) if cursor is None else cursor
        yield pb.WatchEventsResponse(cursor=str(after))
        checked = self._clock()
        while True:  # what is stored already
            head = self._tail.head
            page = await events.list_events(self._db, wanted, cursor=after, take=STREAM_PAGE)
            after = page.next if page.more else max(page.next, head)
            if page.events:
                yield pb.WatchEventsResponse(events=[to_stats(s.event) for s in page.events], cursor=str(after))
            if self._clock() - checked >= CHECK_SECONDS:
                await caller.check()
                checked = self._clock()
            watcher = Watcher(wanted, after)
            if not page.more and self._tail.join(watcher):
                break
        try:
            async for response in self._follow(caller, watcher, after):
                yield response
        finally:
            self._tail.leave(watcher)

    async def _follow(self, caller: Caller, watcher: Watcher, after: int) -> AsyncGenerator[pb.WatchEventsResponse]:
        told = checked = self._clock()
        while True:
            await watcher.wait(CHECK_SECONDS)
            if watcher.cut:
                raise LimitExceeded(f"the client reads too slowly; go on from cursor {after}")
            now = self._clock()
            if now - checked >= CHECK_SECONDS:
                await caller.check()
                checked = now
            if page := watcher.take(STREAM_PAGE):
                after = page[-1].position if watcher.waiting else watcher.upto
                told = now
                yield pb.WatchEventsResponse(events=[each.stats for each in page], cursor=str(after))
            elif now - told >= SILENCE_SECONDS:
                after, told = watcher.upto, now
                yield pb.WatchEventsResponse(cursor=str(after))

    async def _filter(self, request: pb.ListEventsRequest | pb.WatchEventsRequest) -> EventFilter:
        domain = domain_name(request.domain) if request.domain else ""
        plain_text(request.message_id, "message_id", longest=_MAX_MESSAGE_ID)
        plain_text(request.email, "email", longest=MAX_ADDRESS)
        check_tag(request.tag)
        types = frozenset(_event_type(text) for text in request.types)
        if domain:
            found(await domains.find_domain(self._db, domain), f'domain: no domain "{domain}"')
        return EventFilter(domain, types, request.message_id, request.email.strip(), request.tag)

    async def _cursor(self, text: str) -> int | None:
        """A position. Raises InvalidArgument, also for a position that no event has yet: it is another database's, or
        of a time that a restored backup does not have."""
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
            raise InvalidArgument("cursor", f'"{text[:100]}" is not a cursor of this service')
        position = int(text)
        if position and position > await events.find_last_position(self._db):
            raise InvalidArgument("cursor", f"{position} is beyond the newest event of this database")
        return position


def _event_type(text: str) -> EventType:
    try:
        return EventType(text)
    except ValueError:
        known = ", ".join(EventType)
        raise InvalidArgument("types", f'"{text[:100]}" is not a type of event; the types are {known}') from None
