"""The mail of one transaction, prepared once for every host that is tried. No I/O.

In: an envelope. Out: a `Mail` with the octets for the wire, and which extensions it needs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from kannon.mail.envelope import Envelope
from kannon.mail.verdict import NO_REQUIRETLS, Reply, Stage
from kannon.outbound.client.replies import Extensions
from kannon.outbound.trouble import Failure, Kind

END_OF_MAIL = b".\r\n"
_WAIVER = re.compile(rb"^TLS-Required:[ \t]*(?:\r\n[ \t]+)?No[ \t]*\r$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mail:
    """`wire` ends with the final dot, which is written only if the mail is still `held`: see `prepare`."""

    mail_from: str
    rcpt_to: str
    wire: tuple[bytes, ...]
    size: int
    eight_bit: bool
    smtputf8: bool
    require_tls: bool = False
    held: Callable[[], bool] = lambda: True


def prepare(envelope: Envelope, rcpt_to: str, held: Callable[[], bool] = lambda: True) -> Mail:
    """`rcpt_to` is the recipient with its domain in A-labels. `held`: False when another sender may have the envelope;
    asked right before the final dot."""
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
        require_tls=envelope.require_tls,
        held=held,
    )


def waives_tls(body: bytes) -> bool:
    """RFC 8689 §3: the header field `TLS-Required: No` asks for delivery also where the recipients' domain demands more
    of TLS than its servers do."""
    head = body[: body.find(b"\r\n\r\n") + 2]
    return _WAIVER.search(head) is not None


def dot_stuffed(body: bytes) -> tuple[bytes, ...]:
    """RFC 5321 §4.5.2: a dot that begins a line is doubled; a line with a single dot ends the mail."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")  # usually there is none, and this is the same object
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return (stuffed, END_OF_MAIL) if stuffed.endswith(b"\r\n") else (stuffed, b"\r\n" + END_OF_MAIL)


def unsupported(mail: Mail, extensions: Extensions) -> Failure | None:
    """What this mail needs and this server does not offer; known before anything is sent."""
    if mail.require_tls and not extensions.requiretls:
        # RFC 8689 §4.2.1: another host may offer it.
        return Failure(Kind.TLS, Stage.EHLO, reason="the server does not offer REQUIRETLS", enhanced=NO_REQUIRETLS)
    if mail.smtputf8 and not extensions.smtputf8:
        # RFC 6531 §3.1: such a mail must not be sent to a server that does not offer it; X.6.7 by RFC 5248.
        return Failure(Kind.UNABLE, Stage.MAIL, Reply(550, "the server does not offer SMTPUTF8", "5.6.7"))
    if mail.eight_bit and not extensions.eight_bit:
        # RFC 6152 §3: converting would break the signature; X.6.3 is "conversion required but not supported".
        return Failure(Kind.UNABLE, Stage.MAIL, Reply(550, "the server does not offer 8BITMIME", "5.6.3"))
    return None
