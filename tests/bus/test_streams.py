"""Streams and consumers after their server has lost a part of its data."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from nats.js.api import PersistMode

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.embedded import DataDir, EmbeddedNats
from kannon.errors import OperatorError
from kannon.mail.event import Event, EventType
from kannon.wire.envelopes import encode_envelope, parse_envelope
from tests.support.consume import take
from tests.support.envelopes import an_envelope

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPECS = (streams.SENDER, streams.STATS, streams.OUTCOMES)


async def test_consumers_follow_a_stream_that_a_power_cut_has_shortened(tmp_path: Path) -> None:
    """The disk kept the consumers' progress. It lost the messages, and the consumers' settings, which nats-server does
    not sync. New messages have sequences that were settled before."""
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        await publish_and_take(server.url, range(9))
        await server.stop()
        for stream in {spec.stream for spec in SPECS}:
            [messages] = tmp_path.glob(f"nats/jetstream/*/streams/{stream}/msgs")
            shutil.rmtree(messages)
        for settings in tmp_path.glob("nats/jetstream/*/streams/*/obs/*/meta.inf"):
            settings.write_bytes(b"")
        await server.start()
        await publish_and_take(server.url, range(100, 103))
        await server.stop()
        server.close()


async def test_the_subject_of_an_envelope_has_the_partition_of_its_delivery(bus: Bus, nats_url: str) -> None:
    await bus.publish_envelopes([an_envelope(delivery_id=number) for number in (1, 64, 65, 130)])
    client = await nats.connect(nats_url)
    state = (await client.jetstream().stream_info("kannon_sending", subjects_filter=">")).state
    await client.close()
    assert state.subjects == {"kannon.sending.1": 2, "kannon.sending.0": 1, "kannon.sending.2": 1}


async def test_a_stream_of_an_older_version_gets_the_partitions_and_keeps_its_envelopes(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    old = streams.STREAMS[0].config(replicas=1)
    old.subjects = [streams.SENDING]
    await js.add_stream(old)
    payload = encode_envelope(an_envelope(delivery_id=7))
    await js.publish(streams.SENDING, payload, headers={"Nats-Msg-Id": "7.1.0"})
    bus = Bus(nats_url)
    await bus.ready()
    await bus.publish_envelopes([an_envelope(delivery_id=8)])
    await js.publish(streams.SENDING, encode_envelope(an_envelope(delivery_id=9)))  # a dispatcher that still runs
    found = await take(bus, streams.SENDER, 3)
    assert [int(parse_envelope(message.payload).email_id) for message in found] == [7, 8, 9]
    await bus.close()
    await client.close()


async def test_a_stream_with_foreign_subjects_is_refused(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    foreign = streams.STREAMS[0].config(replicas=1)
    foreign.subjects = [streams.SENDING, "other"]
    await client.jetstream().add_stream(foreign)
    bus = Bus(nats_url)
    with pytest.raises(OperatorError, match="stream kannon_sending has subjects"):
        await bus.ready()
    await bus.close()
    await client.close()


async def publish_and_take(url: str, numbers: range) -> None:
    """An envelope and an event each; every consumer takes all of them."""
    bus = Bus(url)
    await bus.ready()
    await bus.publish_envelopes([an_envelope(delivery_id=number) for number in numbers])
    for number in numbers:  # a burst would be one message
        await bus.publish_events([delivered(number)])
    for spec in SPECS:
        assert len(await take(bus, spec, len(numbers))) == len(numbers)
    await bus.close()


def delivered(number: int) -> Event:
    return Event(
        f"e{number}", EventType.DELIVERED, "example.com", "m@example.com", "a@example.org", NOW, delivery_id=number
    )


async def test_the_embedded_server_syncs_outcomes_and_not_envelopes(tmp_path: Path) -> None:
    """Also where an earlier version has made the stream: it is made anew, for the server does not change it."""
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        for syncs in (False, True, True):
            bus = Bus(server.url, syncs=syncs)
            await bus.publish_envelopes([an_envelope()])
            info = await bus._connection.jetstream().stream_info("kannon_sending")
            assert info.config.persist_mode == (PersistMode.ASYNC if syncs else None)
            assert info.state.messages == 1
            assert (await bus._connection.jetstream().stream_info("kannon_stats")).config.persist_mode is None
            assert (await bus._connection.jetstream().consumer_info("kannon_sending", "sender")).num_pending == 1
            await bus.close()
        await server.stop()
        server.close()
        assert 'sync_interval: "always"' in (tmp_path / "conf" / "nats.conf").read_text()
