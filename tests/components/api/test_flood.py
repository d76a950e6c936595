"""Floods of frames: counted, answered with GOAWAY, and read in slices."""

import struct
from collections.abc import Callable, Iterator

import anyio
import pytest
from h2.errors import ErrorCodes

from kannon.components.api.grpc import connection, flood
from kannon.components.api.grpc.connection import Http2Connection
from kannon.components.api.grpc.flood import PREFACE, Flood, Frame, FrameReader
from kannon.components.api.server import Server
from tests.support.h2_client import H2Client, frame, framed, grpc_headers, h2_client
from tests.support.h2_server import call_is_answered, serving
from tests.support.patience import patience

PING = frame(Frame.PING, bytes(8))
CONTROL = {
    "PING": PING,
    "SETTINGS": frame(Frame.SETTINGS, struct.pack(">HL", 4, 65535)),
    "PRIORITY": frame(Frame.PRIORITY, struct.pack(">LB", 0, 15), stream=1),
    "unknown": frame(0xEE, b"grease"),
}


async def until_calm(client: H2Client) -> None:
    with patience():
        await client.until_closed()
    assert client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


async def test_calls_that_are_reset_too_often_end_the_connection() -> None:
    async with serving() as (_, host, port):
        async with h2_client(host, port) as client:
            for _ in range(flood.MAX_RESETS + 1):
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, grpc_headers("/nothing/here"))
                client.h2.reset_stream(stream)
            await client.flush()
            await until_calm(client)
        await call_is_answered(host, port)


@pytest.mark.parametrize("kind", CONTROL)
async def test_control_frames_without_end_end_the_connection(kind: str) -> None:
    async with serving() as (_, host, port), h2_client(host, port) as client:
        await client.raw(CONTROL[kind] * (flood.MAX_CONTROL + 1))
        await until_calm(client)
        await call_is_answered(host, port)


async def test_empty_data_without_end_ends_the_connection() -> None:
    async with serving() as (_, host, port), h2_client(host, port) as client:
        stream = await client.open(grpc_headers("/nothing/here"))
        await client.raw(frame(Frame.DATA, b"", stream=stream) * (flood.MAX_CONTROL + 1))
        await until_calm(client)


async def test_calls_that_run_are_answered_after_a_flood() -> None:
    """GOAWAY names the last stream that is processed (RFC 9113 §6.8)."""
    async with serving() as (_, host, port), h2_client(host, port) as client:
        stream = await client.open(grpc_headers("/nothing/here"), end=True)
        await client.raw(PING * (flood.MAX_CONTROL + 1))
        assert (await client.answer(stream)).status == 12
        await until_calm(client)


async def test_nothing_is_read_after_a_flood() -> None:
    async with serving() as (server, host, port), h2_client(host, port) as client:
        opened = await _connection(server, client)
        opened.data_received(PING * (flood.MAX_CONTROL + 1) + PING * 100_000)
        await until_calm(client)
        assert client.pings <= flood.MAX_CONTROL


async def test_one_connection_is_read_in_slices() -> None:
    """Each slice is one callback of the event loop, so that the others have their turn in between."""
    async with serving() as (server, host, port), h2_client(host, port) as client:
        opened = await _connection(server, client)
        before = client.pings
        opened.data_received(PING * (flood.SLICE_COST * 3))
        assert not opened._reading
        turns = 0
        while opened._frames.pending:
            await anyio.lowlevel.checkpoint()
            turns += 1
        assert turns >= 2
        while client.pings < before + flood.SLICE_COST * 3:
            await client.read()
        assert opened._reading


async def test_a_client_that_takes_no_answers_is_not_read() -> None:
    async with serving() as (server, host, port), h2_client(host, port) as client:
        opened = await _connection(server, client)
        opened.pause_writing()  # as its transport does when the client reads nothing
        before = client.pings
        opened.data_received(PING * flood.SLICE_COST)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert opened._frames.pending
        assert client.pings == before
        opened.resume_writing()
        while client.pings < before + flood.SLICE_COST:
            await client.read()


async def test_a_call_that_is_reset_before_it_begins_leaves_nothing() -> None:
    async with serving() as (server, host, port), h2_client(host, port) as client:
        opened = await _connection(server, client)
        for _ in range(100):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, grpc_headers("/nothing/here"))
            client.h2.send_data(stream, framed(b"abc"))
            client.h2.reset_stream(stream)
        await client.flush()
        stream = await client.open(grpc_headers("/nothing/here"))
        assert (await client.answer(stream)).status == 12
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert (opened.calls, opened.processor.streams) == ({}, {})


LIMITS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "resets": (lambda i: frame(Frame.RST_STREAM, bytes(4), stream=2 * i + 1), flood.MAX_RESETS),
    "control": (lambda _: PING, flood.MAX_CONTROL),
    "continuation": (lambda _: frame(Frame.CONTINUATION, b"x", stream=1), flood.MAX_CONTROL),
    "empty data": (lambda _: frame(Frame.DATA, b"", stream=1), flood.MAX_CONTROL),
    "small data": (lambda _: frame(Frame.DATA, b"x", stream=1), flood.MAX_SMALL),
    "window updates": (lambda _: frame(Frame.WINDOW_UPDATE, struct.pack(">L", 1)), flood.MAX_SMALL),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_each_kind_has_its_limit_a_second(kind: str) -> None:
    make, limit = LIMITS[kind]
    now = 0.0
    reader = FrameReader(lambda: now)
    reader.feed(PREFACE)
    for _ in range(2):
        reader.feed(b"".join(make(i) for i in range(limit)))
        drain(reader)
        now += 1.0
    reader.feed(b"".join(make(i) for i in range(limit + 1)))
    with pytest.raises(Flood):
        drain(reader)


def test_what_honest_clients_send_is_not_counted() -> None:
    reader = FrameReader(lambda: 0.0)
    sent = PREFACE + b"".join(
        frame(Frame.HEADERS, bytes(300), stream=2 * i + 1)
        + frame(Frame.DATA, bytes(16384), stream=2 * i + 1)
        + frame(Frame.DATA, b"", stream=2 * i + 1, flags=1)
        for i in range(2 * flood.MAX_SMALL // 100)
    )
    reader.feed(sent)
    assert drain(reader) == sent


def test_a_slice_costs_no_more_than_its_share() -> None:
    reader = FrameReader(lambda: 0.0)
    header = frame(Frame.HEADERS, bytes(200), stream=1)
    reader.feed(PREFACE + header * 100)
    assert max(part.count(header) for part in slices(reader)) <= 6
    reader.feed(PING * 500)
    assert max(len(part) for part in slices(reader)) <= len(PING) * flood.SLICE_COST


def test_frames_that_arrive_in_pieces_are_put_together() -> None:
    reader = FrameReader(lambda: 0.0)
    sent = PREFACE + PING + frame(Frame.DATA, bytes(100), stream=1) + PING
    got = b""
    for byte in sent:
        reader.feed(bytes([byte]))
        got += drain(reader)
    assert got == sent


def slices(reader: FrameReader) -> Iterator[bytes]:
    while reader.pending:
        yield reader.next_slice()


def drain(reader: FrameReader) -> bytes:
    return b"".join(slices(reader))


async def _connection(server: Server, client: H2Client) -> Http2Connection:
    """The server's side of the client, its preface and settings read."""
    await client.raw(PING)
    with patience():
        while not client.pings:
            await client.read()
    [opened] = server._connections
    assert isinstance(opened, connection.Http2Connection)
    return opened
