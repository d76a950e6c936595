"""The first request of an HTTP/2 connection, before its protocol is known.

In: the bytes of a client, from the connection preface on. Out: whether it speaks gRPC, once the headers of its first
request have arrived. Clients may wait for the server's SETTINGS before they send one, so the server's part of the
preface goes out at once: an empty SETTINGS frame, which the settings of the chosen protocol follow. Anything that a
client does not usually send before its first request is left to gRPC's connection, which has limits and answers for it.
"""

from enum import Enum

from hpack import Decoder, HPACKError

from kannon.components.api.grpc.flood import PREFACE, Frame

SERVER_PREFACE = b"\0\0\0\4\0\0\0\0\0"
"""RFC 9113 §3.4, §6.5: an empty SETTINGS frame."""
MAX_BYTES = 64 << 10
MAX_FRAMES = 20
"""Before and with the headers of the first request: SETTINGS, its acknowledgement, WINDOW_UPDATE, a few PRIORITY."""
_HEADER_BYTES = 9  # RFC 9113 §4.1
_END_HEADERS = 0x4
_PADDED = 0x8
_PRIORITY = 0x20
_BEFORE = frozenset({Frame.SETTINGS, Frame.WINDOW_UPDATE, Frame.PRIORITY})


class Speaks(Enum):
    GRPC = "gRPC"
    HTTP = "HTTP"


def first_request(data: bytes) -> Speaks | None:
    """None: more bytes are needed."""
    at, block = len(PREFACE), b""
    for _ in range(MAX_FRAMES):
        if len(data) < at + _HEADER_BYTES:
            return _undecided(data)
        length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
        payload = data[at + _HEADER_BYTES : at + _HEADER_BYTES + length]
        if kind == Frame.HEADERS and not block:
            if len(payload) < length:
                return _undecided(data)
            block = _fragment(payload, flags)
        elif kind == Frame.CONTINUATION and block:
            if len(payload) < length:
                return _undecided(data)
            block += payload
        elif kind not in _BEFORE or block:
            return Speaks.GRPC
        if block and flags & _END_HEADERS:
            return _by_content_type(block)
        at += _HEADER_BYTES + length
    return Speaks.GRPC


def _undecided(data: bytes) -> Speaks | None:
    return None if len(data) <= MAX_BYTES else Speaks.GRPC


def _fragment(payload: bytes, flags: int) -> bytes:
    """RFC 9113 §6.2: without padding and priority."""
    start, end = 0, len(payload)
    if flags & _PADDED and payload:
        start, end = 1, max(1, end - payload[0])
    if flags & _PRIORITY:
        start += 5
    return payload[start:end]


def _by_content_type(block: bytes) -> Speaks:
    decoder = Decoder(MAX_BYTES)
    try:
        headers = decoder.decode(block, raw=True)
    except (HPACKError, ValueError, IndexError):
        return Speaks.GRPC  # whose connection answers errors of the protocol
    for name, value in headers:
        if name == b"content-type":
            kind = bytes(value).strip().lower()
            return Speaks.GRPC if kind == b"application/grpc" or kind.startswith(_GRPC) else Speaks.HTTP
    return Speaks.HTTP


_GRPC = (b"application/grpc+", b"application/grpc;")
