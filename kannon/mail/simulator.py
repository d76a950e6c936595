"""The five addresses of the sandbox that simulate a remote server's behaviour.

In: an envelope. Out: the verdict of such a server, and the mail that it later sends to the bounce address (a complaint,
an automatic reply) or b"". Mail to any other address is delivered.

    success@simulator.kannon    delivered                 defer@simulator.kannon   451 on every attempt
    bounce@simulator.kannon     550 5.1.1                 complaint@…, ooto@…      delivered, and answered
"""

from kannon.mail.envelope import Envelope
from kannon.mail.verdict import Deferred, Delivered, Refused, Reply, Stage, Verdict

DOMAIN = "simulator.kannon"
BOUNDARY = "simulated-report"


def simulate(envelope: Envelope) -> tuple[Verdict, bytes]:
    local, _, domain = envelope.rcpt_to.lower().rpartition("@")
    if domain != DOMAIN:
        local = "success"
    match local:
        case "bounce":
            reply = Reply(550, "no such user in the simulator", "5.1.1")
            return Refused(reply, Stage.RCPT, DOMAIN), b""
        case "defer":
            reply = Reply(451, "the simulator defers this address for ever", "4.2.1")
            return Deferred(reply, Stage.RCPT, DOMAIN), b""
        case "complaint":
            return _DELIVERED, _complaint(envelope)
        case "ooto":
            return _DELIVERED, _out_of_office(envelope)
    return _DELIVERED, b""


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
