"""Envelope ⇄ protobuf EmailToSend, the payload of kannon.sending.

In and out: kannon.mail.envelope.Envelope. A body larger than one bus message travels beside it, in the object store,
under the name in `body_object`; the bus stores and fetches it, and passes the fetched body to `to_envelope`.
"""

from google.protobuf.message import DecodeError

from kannon.errors import Poison
from kannon.mail.envelope import Envelope
from kannon.pb.mailer.types.mailer_types_pb2 import EmailToSend
from kannon.wire.events import from_timestamp, timestamp


def encode_envelope(envelope: Envelope, *, body_object: str = "") -> bytes:
    """With `body_object` set the body is left out."""
    return EmailToSend(
        email_id=str(envelope.delivery_id),
        to=envelope.rcpt_to,
        return_path=envelope.mail_from,
        body=b"" if body_object else envelope.body,
        should_retry=True,
        domain=envelope.domain,
        message_id=envelope.message_id,
        attempt=envelope.attempt,
        due_at=timestamp(envelope.due_at),
        turn=envelope.requeues,
        body_object=body_object,
        require_tls=envelope.require_tls,
    ).SerializeToString()


def parse_envelope(payload: bytes) -> EmailToSend:
    """Raises Poison where the bytes are no envelope."""
    try:
        message = EmailToSend.FromString(payload)
    except DecodeError as error:
        raise Poison(f"not an envelope: {error}") from None
    if not message.email_id.isdecimal() or not message.to or not (message.body or message.body_object):
        raise Poison("not an envelope: delivery id, recipient or body is missing")
    return message


def to_envelope(message: EmailToSend, body: bytes) -> Envelope:
    return Envelope(
        delivery_id=int(message.email_id),
        message_id=message.message_id,
        domain=message.domain,
        mail_from=message.return_path,
        rcpt_to=message.to,
        body=body,
        attempt=message.attempt,
        due_at=from_timestamp(message.due_at),
        requeues=message.turn,
        require_tls=message.require_tls,
    )
