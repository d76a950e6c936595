"""The addresses of the sandbox that simulate a remote server's behaviour.

In: an envelope. Out: the verdict of such a server, and the mail that it later sends to the bounce address (a complaint,
an automatic reply) or b"". Mail to any other address is delivered. A label (bounce+x@) makes no difference.

    success@simulator.kannon    delivered                        defer@         451 4.2.1 on every attempt
    bounce@                     550 5.1.1                        defer-4.7.1@   451 with this enhanced status
    bounce-5.2.2@               550 with this enhanced status    delay@         451 4.7.1 once, then delivered
    complaint@, ooto@           delivered, and answered          suppressed@    rejected by the send itself
"""

import re

from kannon.mail.envelope import Envelope
from kannon.mail.verdict import Deferred, Delivered, Refused, Reply, Stage, Verdict

DOMAIN = "simulator.kannon"
BOUNDARY = "simulated-report"
_WITH_STATUS = re.compile(r"bounce-(5\.\d{1,3}\.\d{1,3})|defer-(4\.\d{1,3}\.\d{1,3})")


def simulated_name(address: str) -> str:
    """`Bounce+x@simulator.kannon` → `bounce`; empty for an address elsewhere."""
    local, _, domain = address.lower().rpartition("@")
    return local.partition("+")[0] if domain == DOMAIN else ""


def simulate(envelope: Envelope) -> tuple[Verdict, bytes]:
    name = simulated_name(envelope.rcpt_to)
    if match := _WITH_STATUS.fullmatch(name):
        return (_bounced("simulated bounce", match[1]) if match[1] else _deferred("simulated deferral", match[2])), b""
    match name:
        case "bounce":
            return _bounced("no such user in the simulator", "5.1.1"), b""
        case "defer":
            return _deferred("the simulator defers this address for ever", "4.2.1"), b""
        case "delay" if envelope.attempt == 1:
            return _deferred("greylisted in the simulator", "4.7.1"), b""
        case "complaint":
            return _DELIVERED, _complaint(envelope)
        case "ooto":
            return _DELIVERED, _out_of_office(envelope)
    return _DELIVERED, b""


def _bounced(text: str, status: str) -> Refused:
    return Refused(Reply(550, text, status), Stage.RCPT, DOMAIN)


def _deferred(text: str, status: str) -> Deferred:
    return Deferred(Reply(451, text, status), Stage.RCPT, DOMAIN)


_DELIVERED = Delivered(Reply(250, "kept in the sandbox", "2.0.0"), DOMAIN)


def _complaint(envelope: Envelope) -> bytes:
    """RFC 5965 §2: a text part, the feedback report, and the original mail."""
    return b"\r\n".join(
        [
            *_head(envelope, "Complaint about your mail"),
            f'Content-Type: multipart/report; report-type=feedback-report; boundary="{BOUNDARY}"'.encode(),
            b"",
            f"--{BOUNDARY}".encode(),
            b"Content-Type: text/plain; charset=utf-8",
            b"",
            b"The recipient says that this mail is spam.",
            f"--{BOUNDARY}".encode(),
            b"Content-Type: message/feedback-report",
            b"",
            b"Feedback-Type: abuse",
            b"User-Agent: Kannon-Simulator/1",
            b"Version: 1",
            f"Original-Mail-From: <{envelope.mail_from}>".encode(),
            f"Original-Rcpt-To: <{envelope.rcpt_to}>".encode(),
            b"",
            f"--{BOUNDARY}".encode(),
            b"Content-Type: message/rfc822",
            b"",
            envelope.body.rstrip(b"\r\n"),
            f"--{BOUNDARY}--".encode(),
            b"",
        ]
    )


def _out_of_office(envelope: Envelope) -> bytes:
    return b"\r\n".join(
        [
            *_head(envelope, "Out of office"),
            b"Auto-Submitted: auto-replied",  # RFC 3834 §3.1.7
            b"Content-Type: text/plain; charset=utf-8",
            b"",
            b"I am away and read no mail until Monday.",
            b"",
        ]
    )


def _head(envelope: Envelope, subject: str) -> list[bytes]:
    return [
        f"From: <{envelope.rcpt_to}>".encode(),
        f"To: <{envelope.mail_from}>".encode(),
        f"Subject: {subject}".encode(),
        b"MIME-Version: 1.0",
    ]
