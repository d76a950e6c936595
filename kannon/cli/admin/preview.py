"""Renders one mail of a send without sending it, for `kannon send --dry-run`.

In: a request and its HTML. Out: text: the header fields, the text part and the HTML part for the first recipient. The
preview has no tracking and no valid DKIM signature, because both need the server's keys.
"""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime

from kannon.errors import OperatorError
from kannon.mail.preview import render_untracked
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendTemplateReq
from kannon.wire.sends import to_engine, to_send_request

_NOT_SHOWN = frozenset({"dkim-signature", "content-type", "content-transfer-encoding", "mime-version"})


def render_preview(request: SendHTMLReq | SendTemplateReq, html: str, engine: str, domain: str) -> str:
    """Raises OperatorError if the request makes no valid mail."""
    if not request.recipients:
        raise OperatorError("the preview needs a recipient: give --to or --recipients")
    send = to_send_request(request)
    try:
        mail = render_untracked(
            replace(send.content, html=html, engine=to_engine(engine)), domain, send.recipients[0], datetime.now(UTC)
        )
    except ValueError as error:
        raise OperatorError(f"the mail cannot be built: {error}") from None
    return _show(mail)


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
