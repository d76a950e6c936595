"""The hops of a message: a mail that has passed too many servers is in a loop."""

import re

_MAX_HEADER = 128 << 10  # where Received lines are counted
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")


def count_hops(content: bytes) -> int:
    """The Received lines of the header."""
    header = content[:_MAX_HEADER].partition(b"\r\n\r\n")[0]
    return len(_RECEIVED.findall(header))
