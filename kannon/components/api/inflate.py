"""Inflates gzipped requests under two limits: the size of a request, and a hundred times what came in.

In: RFC 1952 members. Out: their contents together. A small request cannot make the server hold or produce much
more than it has sent.
"""

import zlib

from kannon.errors import InvalidArgument, LimitExceeded

MAX_RATIO = 100
"""Text shrinks to a tenth, HTML of many equal rows to a thirtieth."""
_ALWAYS_BYTES = 64 << 10  # a few equal characters may exceed the ratio
_STEP_BYTES = 256 << 10
_GZIP = 31  # zlib's number for a gzip header and trailer


def inflate(data: bytes | bytearray, max_bytes: int) -> bytes:
    """Raises InvalidArgument, LimitExceeded."""
    limit = min(max_bytes, max(MAX_RATIO * len(data), _ALWAYS_BYTES))
    rest: bytes | bytearray = data
    inflated = bytearray()
    while rest:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            try:
                piece = member.decompress(rest, _STEP_BYTES)
            except zlib.error:
                raise InvalidArgument("body", "is not valid gzip") from None
            inflated += piece
            rest = member.unconsumed_tail
            if len(inflated) > limit:
                reason = f"the {max_bytes} allowed" if limit == max_bytes else f"{MAX_RATIO} times its own size"
                raise LimitExceeded(f"the message inflates to more than {reason}")
            if not piece and not rest and not member.eof:
                raise InvalidArgument("body", "the gzip data ends too early")
        rest = member.unused_data
    return bytes(inflated)
