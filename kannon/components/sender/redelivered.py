"""Redelivered: asks before an envelope is sent that another process may have sent.

In: envelopes in flight that the stream delivers again, or held before this process consumed it. Out: those that are
still open, to be sent. Closed ones are acked. Where another sender has the envelope in flight, or no answer comes, it
returns to the stream and is asked about again when it comes: a mail is never sent on a guess while NATS is there.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from kannon.bus.redelivered import Held, Key
from kannon.components.sender.inflight import InFlight, InFlightEnvelope
from kannon.components.sender.pages import Pages
from kannon.errors import Unavailable
from kannon.mail.envelope import RedeliveredEnvelope
from kannon.pb.mailer.types.mailer_types_pb2 import EmailToSend

log = structlog.get_logger()

PAGE = 1000
RETRY_SECONDS = 2.0
UNANSWERED_SECONDS = 0.5  # at the start of a process its sender is ready before its dispatcher

Envelopes = Sequence[tuple[InFlightEnvelope, EmailToSend]]


class Asker(Protocol):
    async def ask_senders(self, page: Sequence[RedeliveredEnvelope]) -> dict[Key, Held]: ...
    async def ask_dispatcher(self, page: Sequence[RedeliveredEnvelope]) -> set[Key]: ...
    async def delete_body(self, name: str) -> None: ...


class Redelivered:
    """`run` is the task that asks; `add` is called by the consumer. `send` begins an envelope that is open."""

    def __init__(self, bus: Asker, in_flight: InFlight, send: Callable[[InFlightEnvelope, EmailToSend], None]) -> None:
        self._bus = bus
        self._in_flight = in_flight
        self._send = send
        self._pages = Pages[tuple[InFlightEnvelope, EmailToSend]](PAGE)

    def add(self, work: InFlightEnvelope, parsed: EmailToSend) -> None:
        self._pages.add((work, parsed))

    async def run(self) -> None:
        """Until cancelled. The next run asks again about what this one had gathered."""
        while True:
            page = await self._pages.next()
            pause = RETRY_SECONDS
            try:
                held, closed = await self._ask(page)
            except Unavailable as error:
                log.warning("redelivered envelopes wait for an answer", count=len(page), why=str(error))
                held, closed = dict.fromkeys((work.key for work, _ in page), Held.IN_FLIGHT), set[Key]()
                pause = UNANSWERED_SECONDS
            self._pages.remove(page)
            for work, parsed in page:
                if work.key in closed or held.get(work.key) is Held.RECORDED:
                    await self._settle(work, parsed)
                elif held.get(work.key) is Held.IN_FLIGHT:
                    self._in_flight.remove(work)
                    await work.nak(pause)
                else:
                    self._send(work, parsed)

    async def _ask(self, page: Envelopes) -> tuple[dict[Key, Held], set[Key]]:
        asked = [work.redelivered() for work, _ in page]
        held = await self._bus.ask_senders(asked)
        rest = [each for each in asked if (each.delivery_id, each.attempt) not in held]
        return held, await self._bus.ask_dispatcher(rest) if rest else set()

    async def _settle(self, work: InFlightEnvelope, parsed: EmailToSend) -> None:
        log.info(
            "a redelivered envelope is not sent again",
            batch=parsed.message_id,
            delivery=work.key[0],
            attempt=work.key[1],
            recipient=parsed.to,
        )
        self._in_flight.remove(work)
        await work.ack()
        if work.body_object:
            try:
                await self._bus.delete_body(work.body_object)
            except Unavailable as error:
                log.warning("cannot delete a body from the object store", body=work.body_object, why=str(error))
