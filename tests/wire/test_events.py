"""Events and envelopes survive encoding as protobuf; other bytes are Poison."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from kannon.errors import Poison
from kannon.mail.envelope import Envelope
from kannon.mail.event import Event, EventType
from kannon.mail.tracking import TrackingMode
from kannon.pb.mailer.types.mailer_types_pb2 import EmailToSend
from kannon.pb.stats.types.stats_pb2 import Stats
from kannon.wire.envelopes import encode_envelope, parse_envelope, to_envelope
from kannon.wire.events import decode_event, encode_event, from_timestamp, timestamp, to_stats

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds are naive by contract
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = TEXT.filter(bool)


def fields_of(kind: EventType) -> set[str]:
    """The fields that only this type of event has."""
    return {
        EventType.REJECTED: {"text"},
        EventType.FAILED: {"text"},
        EventType.DELIVERED: {"code", "text"},
        EventType.BOUNCED: {"permanent", "code", "text"},
        EventType.ERROR: {"code", "text"},
        EventType.OPENED: {"user_agent", "ip"},
        EventType.CLICKED: {"user_agent", "ip", "url"},
    }.get(kind, set())


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(EventType))
    strategies = {
        "text": TEXT,
        "code": st.integers(0, 999),
        "permanent": st.booleans(),
        "user_agent": TEXT,
        "ip": TEXT,
        "url": TEXT,
    }
    own: dict[str, Any] = {name: draw(strategies[name]) for name in sorted(fields_of(kind))}
    return Event(
        event_id=draw(NAMES),
        type=kind,
        domain=draw(TEXT),
        message_id=draw(TEXT),
        email=draw(TEXT),
        at=draw(TIMES),
        tracking_mode=draw(st.sampled_from(TrackingMode)),
        delivery_id=draw(st.integers(0, 2**63 - 1)),
        attempt=draw(st.integers(0, 1000)),
        enhanced_status=draw(TEXT),
        stage=draw(TEXT),
        host=draw(TEXT),
        tls=draw(TEXT),
        retry_after_seconds=draw(st.integers(0, 10**6)),
        suspected_machine=draw(st.booleans()),
        **own,
    )


@given(events())
def test_an_event_survives_encoding(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


def test_the_public_part_follows_the_contract() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    event = Event("e", EventType.BOUNCED, "d.com", "m", "a@x", at, permanent=True, code=550, text="no")
    stats = to_stats(event)
    assert (stats.message_id, stats.domain, stats.email, stats.type) == ("m", "d.com", "a@x", "bounced")
    assert stats.data.WhichOneof("data") == "bounced"
    assert (stats.data.bounced.permanent, stats.data.bounced.code, stats.data.bounced.msg) == (True, 550, "no")
    accepted = to_stats(Event("e", EventType.ACCEPTED, "d.com", "m", "a@x", at))
    assert accepted.data.WhichOneof("data") == "accepted"
    assert to_stats(Event("e", EventType.COMPLAINED, "d.com", "m", "a@x", at)).data.WhichOneof("data") is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff",
        b"no event at all",
        Stats(type="delivered").SerializeToString(),
        Stats(event_id="e", type="vanished").SerializeToString(),
        Stats(event_id="e", type="opened", tracking_mode=77).SerializeToString(),  # type: ignore[arg-type]
        Stats(event_id="e", type="opened", timestamp=Timestamp(seconds=10**15)).SerializeToString(),
        Stats(event_id="e", type="opened", timestamp=Timestamp(seconds=-62135596800)).SerializeToString(),
        Stats(event_id="e", type="opened").SerializeToString(),
    ],
)
def test_bytes_that_are_not_an_event_are_poison(payload: bytes) -> None:
    with pytest.raises(Poison, match="not an event"):
        decode_event(payload)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_poison(payload: bytes) -> None:
    for parse in (decode_event, parse_envelope):
        try:
            parse(payload)
        except Poison:
            continue


@given(TIMES)
def test_times_are_exact_to_the_microsecond(at: datetime) -> None:
    assert from_timestamp(timestamp(at)) == at


@given(st.integers(1, 2**63 - 1), NAMES, st.binary(min_size=1, max_size=100), st.integers(1, 100), TIMES)
def test_an_envelope_survives_encoding(number: int, name: str, body: bytes, attempt: int, at: datetime) -> None:
    envelope = Envelope(number, name, name, name, name, body, attempt, at)
    parsed = parse_envelope(encode_envelope(envelope))
    assert to_envelope(parsed, parsed.body) == envelope
    without = parse_envelope(encode_envelope(envelope, body_object="elsewhere"))
    assert (without.body, without.body_object) == (b"", "elsewhere")


@pytest.mark.parametrize(
    "message",
    [
        EmailToSend(email_id="x", to="a@b", body=b"x"),
        EmailToSend(email_id="1", body=b"x"),
        EmailToSend(email_id="1", to="a@b"),
        EmailToSend(email_id="-1", to="a@b", body=b"x"),
    ],
)
def test_bytes_that_are_not_an_envelope_are_poison(message: EmailToSend) -> None:
    with pytest.raises(Poison, match="not an envelope"):
        parse_envelope(message.SerializeToString())
