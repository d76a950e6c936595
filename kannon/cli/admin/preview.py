"""Renders one mail of a send without sending it, for `kannon send --dry-run`.

In: a request and its HTML. Out: text: the header fields, the text part and the HTML part for the first recipient. The
preview has no tracking and no valid DKIM signature, because both need the server's keys.
"""

import email
import email.policy
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kannon.errors import OperatorError
from kannon.mail.batch import Batch, Delivery
from kannon.mail.build.dkim import ED25519_SHA256, DkimKey, generate_dkim_key
from kannon.mail.build.template import BuildSettings, compile_batch
from kannon.mail.token import generate_token_key
from kannon.mail.tracking import OFF
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendTemplateReq
from kannon.wire.sends import to_send_request

_NOT_SHOWN = frozenset({"dkim-signature", "content-type", "content-transfer-encoding", "mime-version"})


def render_preview(request: SendHTMLReq | SendTemplateReq, html: str, domain: str) -> str:
    """Raises OperatorError if the request makes no valid mail."""
    if not request.recipients:
        raise OperatorError("the preview needs a recipient: give --to or --recipients")
    now = datetime.now(UTC)
    send = to_send_request(request)
    batch = Batch(
        message_id=f"msg_preview@{domain}",
        domain=domain,
        template_id=send.template_id or "",
        content=replace(send.content, html=html),
    )
    first = replace(send.recipients[0], tracking=OFF)
    delivery = Delivery(0, batch.message_id, domain, first, secrets.token_bytes(16), 1, now)
    try:
        return _show(compile_batch(batch, _settings()).fill(delivery, now).body)
    except ValueError as error:
        raise OperatorError(f"the mail cannot be built: {error}") from None


def _settings() -> BuildSettings:
    """With throw-away keys."""
    private_pem, _ = generate_dkim_key(ED25519_SHA256)
    token_key, _ = generate_token_key()
    return BuildSettings(
        dkim_keys=(DkimKey("preview", ED25519_SHA256, private_pem),),
        token_key=token_key,
        token_ttl=timedelta(days=1),
        bounce_secret=secrets.token_bytes(32),
        bounce_ttl=timedelta(days=1),
    )


def _show(body: bytes) -> str:
    mail = email.message_from_bytes(body, policy=email.policy.default)
    lines = [f"{name}: {value}" for name, value in mail.items() if name.lower() not in _NOT_SHOWN]
    for part in mail.walk():
        if part.is_multipart():
            continue
        lines += ["", f"--- {part.get_content_type()} {part.get_filename() or ''}".rstrip()]
        content = part.get_content()
        lines.append(content.rstrip() if isinstance(content, str) else f"({len(content)} bytes)")
    return "\n".join(lines)
