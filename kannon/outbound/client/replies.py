"""SMTP replies: a byte stream cut into replies, and what the reply to EHLO offers. No I/O.

In: bytes. Out: `RawReply`s, and in `broken` the reason why no more can be read.
"""

from dataclasses import dataclass
from typing import NamedTuple

from kannon.mail.reply import parse_reply
from kannon.mail.verdict import Reply

MAX_LINE = 4096  # RFC 5321 §4.5.3.1.5 allows 512 octets; some servers write more
MAX_REPLY_LINES = 128
SERVICE_CLOSING = 421  # RFC 5321 §3.8: may answer any command


class RawReply(NamedTuple):
    """One complete reply, the code still in front of each line; the text is parsed only when it is reported."""

    code: int
    lines: list[bytes]

    def parsed(self) -> Reply:
        return parse_reply(self.code, self.lines)


class ReplyReader:
    """Cuts a byte stream into replies. `broken` applies after the replies that `feed` returned."""

    __slots__ = ("_lines", "_rest", "broken")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self.broken = ""

    @property
    def pending(self) -> bool:
        """Part of a reply has been read."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[RawReply]:
        replies: list[RawReply] = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            self.broken = "a reply line without an end"
        for line in lines:
            line = line.removesuffix(b"\r")
            separator = line[3:4]
            # RFC 5321 §4.2: Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
            if not (line[:3].isdigit() and b"2" <= line[:1] <= b"5" and separator in (b" ", b"-", b"")):
                self.broken = "not an SMTP reply: " + ascii(line[:60].decode("latin-1"))[1:-1]
                break
            self._lines.append(line)
            if separator != b"-":
                replies.append(RawReply(int(line[:3]), self._lines))
                self._lines = []
            elif len(self._lines) > MAX_REPLY_LINES or len(line) > MAX_LINE:
                self.broken = "a reply without an end"
                break
        return replies


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the server offered in its reply to EHLO."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    starttls: bool = False
    size: bool = False
    requiretls: bool = False
    auth: frozenset[str] = frozenset()


def parse_extensions(reply: RawReply) -> Extensions:
    """RFC 5321 §4.1.1.1: one keyword on each line after the first, in any letter case."""
    words = [line[4:].decode("ascii", "replace").upper().replace("=", " ").split() for line in reply.lines[1:]]
    keywords = {each[0] for each in words if each}
    return Extensions(
        pipelining="PIPELINING" in keywords,
        eight_bit="8BITMIME" in keywords,
        smtputf8="SMTPUTF8" in keywords,
        starttls="STARTTLS" in keywords,
        size="SIZE" in keywords,
        requiretls="REQUIRETLS" in keywords,
        auth=frozenset(word for each in words if each and each[0] == "AUTH" for word in each[1:]),
    )
