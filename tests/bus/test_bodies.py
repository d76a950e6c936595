"""Large bodies in the object store: each one is deleted once its envelope is settled, given up or gone."""

from collections.abc import AsyncIterator

import anyio
import nats
import pytest
from nats.js import JetStreamContext

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.errors import Poison, Unavailable
from kannon.wire.envelopes import parse_envelope
from tests.support.consume import take
from tests.support.envelopes import BODY, an_envelope

LARGE = BODY + (b"y" * 76 + b"\r\n") * 120_000
STREAM = "OBJ_kannon_bodies"


@pytest.fixture
async def js(nats_url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(nats_url)
    yield client.jetstream()
    await client.close()


async def stored(bus: Bus) -> int:
    """Messages in the bucket, of whatever kind."""
    return (await bus.backlog(STREAM)).messages


async def swept(bus: Bus, times: int = 3) -> int:
    for _ in range(times):
        await bus.sweep_bodies()
    return await stored(bus)


async def add_dead_letter(bus: Bus) -> int:
    """Makes the first envelope a dead letter; returns its sequence."""
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            await message.dead_letter("too odd")
        stop.set()

    await bus.consume(streams.SENDER, handle, Limits(page=1, in_flight=1), stop=stop)
    [letter], _ = await bus.list_dead_letters(after=0, take=1)
    return letter.sequence


async def test_the_bucket_forgets_bodies_some_time_after_their_envelopes(bus: Bus, js: JetStreamContext) -> None:
    config = (await js.stream_info(STREAM)).config
    sending = (await js.stream_info("kannon_sending")).config
    assert config.max_age == 96 * 3600
    assert config.max_age > (sending.max_age or 0)


async def test_a_bucket_that_never_forgot_is_updated_at_the_start(nats_url: str, js: JetStreamContext) -> None:
    await js.create_object_store(streams.BODIES)
    bus = Bus(nats_url)
    await bus.ready()
    await bus.close()
    assert (await js.stream_info(STREAM)).config.max_age == 96 * 3600


async def test_a_deleted_body_leaves_nothing_behind(bus: Bus) -> None:
    await bus.publish_envelopes([an_envelope(body=LARGE)])
    [message] = await take(bus, streams.SENDER, 1)
    name = parse_envelope(message.payload).body_object
    assert await bus.fetch_body(name) == LARGE
    await bus.delete_body(name)
    await bus.delete_body(name)
    assert await stored(bus) == 0
    with pytest.raises(Poison):
        await bus.fetch_body(name)


async def test_a_dead_envelope_keeps_its_body_until_it_is_deleted(bus: Bus) -> None:
    await bus.publish_envelopes([an_envelope(body=LARGE)])
    sequence = await add_dead_letter(bus)
    assert await swept(bus, 5) > 1
    assert await bus.delete_dead_letters(sequence)
    assert await stored(bus) == 0


async def test_a_dead_envelope_that_is_retried_has_its_body(bus: Bus) -> None:
    await bus.publish_envelopes([an_envelope(body=LARGE)])
    sequence = await add_dead_letter(bus)
    await swept(bus)
    assert await bus.retry_dead_letters(sequence)
    await swept(bus)
    [message] = await take(bus, streams.SENDER, 1)
    assert await bus.fetch_body(parse_envelope(message.payload).body_object) == LARGE


async def test_a_body_whose_envelope_left_the_stream_is_swept(bus: Bus, js: JetStreamContext) -> None:
    """As after max_age, or when a row was reclaimed whose envelope a sender had acknowledged before it crashed."""
    await bus.publish_envelopes([an_envelope(delivery_id=1, body=LARGE)])
    await swept(bus, 5)
    await bus.publish_envelopes([an_envelope(delivery_id=2, body=LARGE)])
    first = (await js.stream_info("kannon_sending")).state.first_seq
    await js.delete_msg("kannon_sending", first)
    before = await stored(bus)
    assert await swept(bus) == before // 2
    assert await bus.fetch_body("2.1.0") == LARGE


async def test_a_body_whose_envelope_was_never_published_is_swept(bus: Bus) -> None:
    await bus._bodies.put("1.1.0", LARGE)
    assert await swept(bus) == 0


async def test_a_body_uploaded_anew_under_the_same_name_is_not_swept(bus: Bus) -> None:
    """A page that could not be published is claimed again and has the same names."""
    await bus._bodies.put("1.1.0", LARGE)
    await swept(bus, 2)
    await bus.publish_envelopes([an_envelope(body=LARGE)])
    assert await swept(bus, 5) > 1
    assert await bus.fetch_body("1.1.0") == LARGE


async def test_a_body_that_is_cut_is_not_taken_for_whole(
    bus: Bus, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.bus.bodies.FETCH_SECONDS", 0.5)
    await bus._bodies.put("1.1.0", LARGE)
    last = (await js.stream_info(STREAM)).state.last_seq
    await js.delete_msg(STREAM, last - 1)  # the last piece; the entry comes behind it
    with pytest.raises(Unavailable):
        await bus.fetch_body("1.1.0")
