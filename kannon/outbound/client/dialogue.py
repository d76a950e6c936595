"""The client's half of SMTP without any I/O: bytes in, bytes out, and what came of it.

In: what the peer sent. Out: what to write next, and after the last reply a final one or a `Failure`. `session` drives
it over a connection and knows about time; nothing here does. One `Exchange` at a time is open on a connection: `Ask`
is one command and its reply, `Transaction` one mail.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kannon.mail.envelope import Envelope
from kannon.mail.reply import parse_reply
from kannon.mail.verdict import Reply, Stage
from kannon.outbound.trouble import Failure, Kind

MAX_LINE = 4096  # RFC 5321 §4.5.3.1.5 allows 512 octets; some servers write more
MAX_REPLY_LINES = 128
SERVICE_CLOSING = 421  # RFC 5321 §3.8: may answer any command

EMPTY_MAIL = b".\r\n"


class RawReply(NamedTuple):
    """One complete reply, its lines with the code still in front; words are parsed only where they are reported."""

    code: int
    lines: list[bytes]

    def parsed(self) -> Reply:
        return parse_reply(self.code, self.lines)


class ReplyReader:
    """Cuts a byte stream into replies. `broken` says why nothing more can be read, after the replies before it."""

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
    """What EHLO offered. `size` 0: no limit stated."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    starttls: bool = False
    size: bool = False
    auth: frozenset[str] = frozenset()


def parse_extensions(reply: RawReply) -> Extensions:
    """RFC 5321 §4.1.1.1: one keyword a line after the first, in any letter case."""
    words = [line[4:].decode("ascii", "replace").upper().replace("=", " ").split() for line in reply.lines[1:]]
    keywords = {each[0] for each in words if each}
    return Extensions(
        pipelining="PIPELINING" in keywords,
        eight_bit="8BITMIME" in keywords,
        smtputf8="SMTPUTF8" in keywords,
        starttls="STARTTLS" in keywords,
        size="SIZE" in keywords,
        auth=frozenset(word for each in words if each and each[0] == "AUTH" for word in each[1:]),
    )


@dataclass(frozen=True, slots=True)
class Mail:
    """An envelope as the dialogue needs it; computed once, whatever hosts are asked. `wire` ends with the final dot."""

    mail_from: str
    rcpt_to: str
    wire: tuple[bytes, ...]
    size: int
    eight_bit: bool
    smtputf8: bool


def prepare(envelope: Envelope, rcpt_to: str) -> Mail:
    """`rcpt_to` is the recipient with its domain in A-labels."""
    body = envelope.body
    eight_bit = not body.isascii()
    return Mail(
        mail_from=envelope.mail_from,
        rcpt_to=rcpt_to,
        wire=dot_stuffed(body),
        size=len(body),
        eight_bit=eight_bit,
        # RFC 6531 §3.2: needed for an address, or a header field, beyond ASCII.
        smtputf8=not (envelope.mail_from.isascii() and rcpt_to.isascii())
        or (eight_bit and not body[: body.find(b"\r\n\r\n") + 1].isascii()),
    )


def dot_stuffed(body: bytes) -> tuple[bytes, ...]:
    """RFC 5321 §4.5.2: a dot that begins a line is doubled; a line with a lone dot ends the mail."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")  # the same object where there is none, which is the rule
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return (stuffed, EMPTY_MAIL) if stuffed.endswith(b"\r\n") else (stuffed, b"\r\n" + EMPTY_MAIL)


class Exchange(Protocol):
    """What `session` drives. `stage` says what is waited for and so how long; `done`: nothing more is."""

    stage: Stage
    done: bool

    def start(self) -> bytes: ...

    def on_reply(self, reply: RawReply) -> tuple[bytes, ...]:
        """What to write next; nothing when another reply is waited for, or when done."""
        ...

    def on_lost(self, failure: Failure) -> None:
        """The connection failed while the exchange was open; it is done."""
        ...


class Ask:
    """One command (or none, for the greeting) and its reply."""

    __slots__ = ("_line", "done", "outcome", "stage")

    def __init__(self, stage: Stage, line: bytes) -> None:
        self.stage = stage
        self.done = False
        self.outcome: RawReply | Failure = Failure(Kind.CLOSED, stage, reason="connection closed")
        self._line = line

    def start(self) -> bytes:
        return self._line

    def on_reply(self, reply: RawReply) -> tuple[bytes, ...]:
        self.outcome = reply
        self.done = True
        return ()

    def on_lost(self, failure: Failure) -> None:
        self.outcome = failure
        self.done = True


class _Command(NamedTuple):
    stage: Stage
    line: bytes
    wanted: int  # first digit of the reply that lets the dialogue go on


class Transaction:
    """One mail: (RSET) MAIL RCPT DATA, the body, the dot; RFC 5321 §3.3, in one burst where PIPELINING is offered.

    Afterwards exactly one of `accepted` and `failure` is set. The first bad reply is the failure, whatever follows it,
    the end of the connection included. `reusable`: the peer owes no more replies. `stale`: the connection had died
    while it was idle, before this mail was spoken of.
    """

    __slots__ = (
        "_at",
        "_commands",
        "_mail",
        "_pipelining",
        "_recipient_taken",
        "accepted",
        "done",
        "failure",
        "reusable",
        "stage",
        "stale",
    )

    def __init__(self, mail: Mail, extensions: Extensions, *, reset: bool) -> None:
        self._mail = mail
        self._pipelining = extensions.pipelining
        self._commands = _commands(mail, extensions, reset=reset)
        self._at = 0
        self._recipient_taken = False
        self.stage = Stage.MAIL
        self.done = False
        self.accepted: RawReply | None = None
        self.failure: Failure | None = None
        self.reusable = False
        self.stale = False

    def start(self) -> bytes:
        if self._pipelining:
            return b"".join([command.line for command in self._commands])  # RFC 2920 §3.1: DATA is the last of a group
        return self._commands[0].line

    def on_reply(self, reply: RawReply) -> tuple[bytes, ...]:
        if self.stage in (Stage.BODY, Stage.DOT):
            return self._on_final(reply)
        command = self._commands[self._at]
        self._at += 1
        if reply.code // 100 != command.wanted and self.failure is None:
            self.failure = _unwanted(reply, command.stage)
            self.stale = self._at == 1 and command.line == RSET
        if command.stage is Stage.RCPT:
            self._recipient_taken = reply.code // 100 == 2
        if reply.code == SERVICE_CLOSING:
            self.done = True
            return ()
        if self._at == len(self._commands):
            return self._on_data(reply)
        if self._pipelining:
            self.stage = self._commands[self._at].stage
            return ()
        if self.failure is not None:
            return self._over()
        self.stage = self._commands[self._at].stage
        return (self._commands[self._at].line,)

    def _on_data(self, reply: RawReply) -> tuple[bytes, ...]:
        if self.failure is None:
            self.stage = Stage.BODY
            return self._mail.wire
        if reply.code // 100 == 3:
            if self._recipient_taken:
                self.done = True  # RSET or MAIL was refused and RCPT was not: a dot might deliver an empty mail
                return ()
            # RFC 2920 §3.1: DATA was accepted although no recipient was; the mail that follows is empty.
            self.stage = Stage.DOT
            return (EMPTY_MAIL,)
        return self._over()

    def _over(self) -> tuple[bytes, ...]:
        """Refused before there was a mail; a peer that is out of step is not spoken to again."""
        self.done = True
        self.reusable = self.failure is None or self.failure.kind is Kind.REPLY
        return ()

    def _on_final(self, reply: RawReply) -> tuple[bytes, ...]:
        self.done = True
        if self.failure is None:
            if reply.code // 100 == 2 and self.stage is Stage.DOT:
                self.accepted = reply  # RFC 5321 §4.2.5: from here on the mail is the peer's
            else:
                self.failure = _unwanted(reply, self.stage)
        in_step = self.failure is None or self.failure.kind is Kind.REPLY
        self.reusable = in_step and self.stage is Stage.DOT and reply.code != SERVICE_CLOSING
        return ()

    def on_lost(self, failure: Failure) -> None:
        self.done = True
        if self.failure is None:
            self.failure = failure
            self.stale = self._at == 0 and self._commands[0].line == RSET and failure.kind is Kind.CLOSED


RSET = b"RSET\r\n"
_DATA = _Command(Stage.DATA, b"DATA\r\n", 3)
_RESET = _Command(Stage.MAIL, RSET, 2)


def _commands(mail: Mail, extensions: Extensions, *, reset: bool) -> list[_Command]:
    parameters = ""
    if extensions.size:
        parameters += f" SIZE={mail.size}"  # RFC 1870 §6
    if mail.eight_bit and extensions.eight_bit:
        parameters += " BODY=8BITMIME"  # RFC 6152 §2
    if mail.smtputf8:
        parameters += " SMTPUTF8"  # RFC 6531 §3.4
    commands = [
        _Command(Stage.MAIL, f"MAIL FROM:<{mail.mail_from}>{parameters}\r\n".encode(), 2),
        _Command(Stage.RCPT, f"RCPT TO:<{mail.rcpt_to}>\r\n".encode(), 2),
        _DATA,
    ]
    return [_RESET, *commands] if reset else commands


def _unwanted(reply: RawReply, stage: Stage) -> Failure:
    if reply.code >= 400:
        return Failure(Kind.REPLY, stage, reply.parsed())
    return Failure(Kind.GARBAGE, stage, reply.parsed(), f"unexpected reply {reply.code} to {stage}")


def unable(mail: Mail, extensions: Extensions) -> Failure | None:
    """What this mail needs and this peer does not offer; said before anything is sent."""
    if mail.smtputf8 and not extensions.smtputf8:
        # RFC 6531 §3.1: such a mail must not be sent to a server that does not offer it; X.6.7 by RFC 5248.
        return Failure(Kind.UNABLE, Stage.MAIL, Reply(550, "the server does not offer SMTPUTF8", "5.6.7"))
    if mail.eight_bit and not extensions.eight_bit:
        # RFC 6152 §3: converting would break the signature; X.6.3 is "conversion required but not supported".
        return Failure(Kind.UNABLE, Stage.MAIL, Reply(550, "the server does not offer 8BITMIME", "5.6.3"))
    return None
