"""The client's half of SMTP without I/O: bytes in, bytes out.

In: the server's replies. Out: what to write next, and after the last reply a final one or a `Failure`. `session` runs
it over a connection with time-outs. One `Exchange` at a time is open on a connection: `Command` is one command and its
reply, `Transaction` one mail.
"""

from typing import NamedTuple, Protocol

from kannon.mail.verdict import Stage
from kannon.outbound.client.message import END_OF_MAIL, Mail
from kannon.outbound.client.replies import SERVICE_CLOSING, Extensions, RawReply
from kannon.outbound.trouble import Failure, Kind

RSET = b"RSET\r\n"


class Exchange(Protocol):
    """What `session` runs. `stage` names the reply that it waits for, and its time-out; `done`: it waits for none."""

    stage: Stage
    done: bool

    def start(self) -> bytes: ...

    def on_reply(self, reply: RawReply) -> tuple[bytes, ...]:
        """What to write next; empty while further replies are due, and when done."""
        ...

    def may_end(self) -> bool:
        """Asked before the final dot. If not, this ends the exchange."""
        ...

    def on_lost(self, failure: Failure) -> None:
        """The connection failed while the exchange was open. This ends it."""
        ...


class Command:
    """One command (none, for the greeting) and its reply."""

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

    def may_end(self) -> bool:
        return True

    def on_lost(self, failure: Failure) -> None:
        self.outcome = failure
        self.done = True


class _Step(NamedTuple):
    stage: Stage
    line: bytes
    expected: int  # first digit of the reply after which the dialogue goes on


class Transaction:
    """One mail: (RSET) MAIL RCPT DATA, the body, the dot; RFC 5321 §3.3, in one burst where PIPELINING is offered.

    Afterwards exactly one of `accepted`, `failure` and `withdrawn` is set. The first bad reply is the failure, whatever
    follows it. `withdrawn`: the mail was no longer held before its final dot, so the server has none of it.
    `reusable`: the server owes no more replies. `stale`: the connection had ended while it was idle, before the server
    saw any of this mail.
    """

    __slots__ = (
        "_at",
        "_mail",
        "_pipelining",
        "_recipient_accepted",
        "_steps",
        "accepted",
        "done",
        "failure",
        "reusable",
        "stage",
        "stale",
        "withdrawn",
    )

    def __init__(self, mail: Mail, extensions: Extensions, *, reset: bool) -> None:
        self._mail = mail
        self._pipelining = extensions.pipelining
        self._steps = _steps(mail, extensions, reset=reset)
        self._at = 0
        self._recipient_accepted = False
        self.stage = Stage.MAIL
        self.done = False
        self.accepted: RawReply | None = None
        self.failure: Failure | None = None
        self.reusable = False
        self.stale = False
        self.withdrawn = False

    def start(self) -> bytes:
        if self._pipelining:
            return b"".join([step.line for step in self._steps])  # RFC 2920 §3.1: DATA is the last of a group
        return self._steps[0].line

    def on_reply(self, reply: RawReply) -> tuple[bytes, ...]:
        if self.stage in (Stage.BODY, Stage.DOT):
            return self._on_final(reply)
        step = self._steps[self._at]
        self._at += 1
        if reply.code // 100 != step.expected and self.failure is None:
            self.failure = _unexpected(reply, step.stage)
            self.stale = self._at == 1 and step.line == RSET
        if step.stage is Stage.RCPT:
            self._recipient_accepted = reply.code // 100 == 2
        if reply.code == SERVICE_CLOSING:
            self.done = True
            return ()
        if self._at == len(self._steps):
            return self._on_data(reply)
        if self._pipelining:
            self.stage = self._steps[self._at].stage
            return ()
        if self.failure is not None:
            return self._finish()
        self.stage = self._steps[self._at].stage
        return (self._steps[self._at].line,)

    def _on_data(self, reply: RawReply) -> tuple[bytes, ...]:
        if self.failure is None:
            if not self.may_end():
                return ()
            self.stage = Stage.BODY
            return self._mail.wire
        if reply.code // 100 == 3:
            if self._recipient_accepted:
                self.done = True  # RSET or MAIL was rejected and RCPT was not: a dot could deliver an empty mail
                return ()
            # RFC 2920 §3.1: DATA was accepted although no recipient was; the mail that follows is empty.
            self.stage = Stage.DOT
            return (END_OF_MAIL,)
        return self._finish()

    def may_end(self) -> bool:
        self.withdrawn = self.done = not self._mail.held()
        return not self.withdrawn

    def _finish(self) -> tuple[bytes, ...]:
        """Rejected before the body. A connection whose server is out of step is not used again."""
        self.done = True
        self.reusable = self.failure is None or self.failure.kind is Kind.REPLY
        return ()

    def _on_final(self, reply: RawReply) -> tuple[bytes, ...]:
        self.done = True
        if self.failure is None:
            if reply.code // 100 == 2 and self.stage is Stage.DOT:
                self.accepted = reply  # RFC 5321 §4.2.5: from here on the server is responsible for the mail
            else:
                self.failure = _unexpected(reply, self.stage)
        in_step = self.failure is None or self.failure.kind is Kind.REPLY
        self.reusable = in_step and self.stage is Stage.DOT and reply.code != SERVICE_CLOSING
        return ()

    def on_lost(self, failure: Failure) -> None:
        self.done = True
        if self.failure is None:
            self.failure = failure
            self.stale = self._at == 0 and self._steps[0].line == RSET and failure.kind is Kind.CLOSED


_DATA = _Step(Stage.DATA, b"DATA\r\n", 3)
_RESET = _Step(Stage.MAIL, RSET, 2)


def _steps(mail: Mail, extensions: Extensions, *, reset: bool) -> list[_Step]:
    parameters = ""
    if extensions.size:
        parameters += f" SIZE={mail.size}"  # RFC 1870 §6
    if mail.eight_bit and extensions.eight_bit:
        parameters += " BODY=8BITMIME"  # RFC 6152 §2
    if mail.smtputf8:
        parameters += " SMTPUTF8"  # RFC 6531 §3.4
    if mail.require_tls:
        parameters += " REQUIRETLS"  # RFC 8689 §2
    steps = [
        _Step(Stage.MAIL, f"MAIL FROM:<{mail.mail_from}>{parameters}\r\n".encode(), 2),
        _Step(Stage.RCPT, f"RCPT TO:<{mail.rcpt_to}>\r\n".encode(), 2),
        _DATA,
    ]
    return [_RESET, *steps] if reset else steps


def _unexpected(reply: RawReply, stage: Stage) -> Failure:
    if reply.code >= 400:
        return Failure(Kind.REPLY, stage, reply.parsed())
    return Failure(Kind.GARBAGE, stage, reply.parsed(), f"unexpected reply {reply.code} to {stage}")
