"""Cuts the bytes of an HTTP/2 client into slices, and recognises a flood before h2 parses it.

In: the bytes of one connection. Out: slices, each cheap enough for one turn of the event loop. Counts, per second, the
frames that cost the server work and the client nothing; raises Flood at the first one above its limit.
"""

import time
from collections.abc import Callable
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113 §3.4: the first bytes of a client that speaks HTTP/2."""

MAX_RESETS = 300
"""RST_STREAM a second: all 100 concurrent calls of a connection given up three times. Each costs about 0.2 ms."""
MAX_CONTROL = 1000
"""SETTINGS, PING, PRIORITY, CONTINUATION, empty DATA, unknown frames a second: clients send a few. Each costs 10 µs."""
MAX_SMALL = 10_000
"""WINDOW_UPDATE and DATA below SMALL_BYTES a second: clients acknowledge large answers and write small messages."""
SMALL_BYTES = 64

SLICE_COST = 64
"""One slice: about 1 ms of work, that is six new calls or 64 cheap frames."""
_HEADERS_COST = 8
_HEADER_BYTES_COST = 64  # each 64 bytes of a header block cost one more
_RESET_COST = 2
_FRAME_HEADER = 9  # RFC 9113 §4.1
_WINDOW_SECONDS = 1.0
_END_STREAM = 0x1


class Frame(IntEnum):
    """RFC 9113 §6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flood(Exception):
    """The connection sends more frames of one kind than a client needs."""


class FrameReader:
    """`feed`, then `next_slice` as long as `pending`. The connection preface passes like the payload of a frame."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._window_start = clock()
        self._resets = self._control = self._small = 0
        self._data = b""
        self._at = 0
        self._payload = len(PREFACE)  # what is left of the current frame

    def feed(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data
        self._at = 0
        now = self._clock()
        if now - self._window_start >= _WINDOW_SECONDS:
            self._window_start = now
            self._resets = self._control = self._small = 0

    @property
    def pending(self) -> bool:
        """Whether what has been fed makes another slice. The header of a frame is never cut."""
        left = len(self._data) - self._at
        return left >= _FRAME_HEADER or (left > 0 and self._payload > 0)

    def next_slice(self) -> bytes:
        """Raises Flood; the frames before the one too many in the same slice are not returned then."""
        data, start, at, payload = self._data, self._at, self._at, self._payload
        end = len(data)
        budget = SLICE_COST
        while True:
            step = min(payload, end - at)
            at += step
            payload -= step
            if payload or budget <= 0 or end - at < _FRAME_HEADER:
                break
            payload = int.from_bytes(data[at : at + 3])
            budget -= self._count(data[at + 3], data[at + 4], payload)
            at += _FRAME_HEADER
        self._at, self._payload = at, payload
        return data[start:at]

    def _count(self, kind: int, flags: int, length: int) -> int:
        """The cost of a frame."""
        if kind == Frame.HEADERS:
            return _HEADERS_COST + length // _HEADER_BYTES_COST
        if kind == Frame.DATA and (length >= SMALL_BYTES or flags & _END_STREAM):
            return 1
        if kind == Frame.RST_STREAM:
            self._resets += 1
            if self._resets > MAX_RESETS:
                raise Flood("RST_STREAM")
            return _RESET_COST
        if kind == Frame.WINDOW_UPDATE or (kind == Frame.DATA and length):
            self._small += 1
            if self._small > MAX_SMALL:
                raise Flood("small frames")
            return 1
        self._control += 1
        if self._control > MAX_CONTROL:
            raise Flood("control frames")
        return 1 + (length // _HEADER_BYTES_COST if kind == Frame.CONTINUATION else 0)
