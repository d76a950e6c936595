"""Envelopes for tests that do not depend on their content."""

from datetime import UTC, datetime

from kannon.mail.envelope import Envelope

BODY = b"From: a@sender.test\r\nTo: b@dest.test\r\nSubject: hello\r\n\r\nGood morning.\r\n"


def an_envelope(
    to: str = "b@dest.test",
    *,
    body: bytes = BODY,
    mail_from: str = "b-1@sender.test",
    delivery_id: int = 1,
    attempt: int = 1,
    domain: str = "sender.test",
    requeues: int = 0,
    require_tls: bool = False,
) -> Envelope:
    return Envelope(
        delivery_id=delivery_id,
        message_id="msg_test@sender.test",
        domain=domain,
        mail_from=mail_from,
        rcpt_to=to,
        body=body,
        attempt=attempt,
        due_at=datetime.now(UTC),
        requeues=requeues,
        require_tls=require_tls,
    )
