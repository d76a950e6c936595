"""What one recipient of a template would get, without tracking and without sending it.

In: a content and the values of one recipient. Out: a `Preview`. A value that the template needs and does not get is
named, and its name stands in its place, so that the rest can be looked at.
"""

import copy
import email
import email.policy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

from kannon.mail.batch import Batch, Content, Delivery, Engine, Recipient
from kannon.mail.build.dkim import ED25519_SHA256, DkimKey, generate_dkim_key
from kannon.mail.build.html import TOKEN, attributes, decode_attribute
from kannon.mail.build.jinja import JinjaTemplate, MissingField, RenderError
from kannon.mail.build.placeholders import placeholders_in
from kannon.mail.build.template import BuildSettings, compile_batch
from kannon.mail.token import generate_token_key
from kannon.mail.tracking import OFF

_MAX_MISSING = 100
_PATH = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_HREF = frozenset(("href",))
_ADDRESS = "recipient@example.com"


@dataclass(frozen=True, slots=True)
class Preview:
    """`bytes` of the whole mail. `links`: their targets, each once. `problem`: why it cannot be rendered; the rest is
    empty then."""

    html: str = ""
    text: str = ""
    subject: str = ""
    bytes: int = 0
    links: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: str = ""


def render_preview(content: Content, domain: str, values: Mapping[str, Any], now: datetime) -> Preview:
    """Raises TemplateFault."""
    own = {"email": _ADDRESS, **values}
    if content.engine is Engine.PLAIN:
        wanted = set().union(*map(placeholders_in, (content.html, content.text, content.subject)))
        missing, problem = sorted(wanted - own.keys()), ""
    else:
        own, missing, problem = _complete(content, own)
    if problem:
        return Preview(missing=tuple(missing), problem=problem)
    body = render_untracked(content, domain, Recipient(_ADDRESS, own), now)
    mail = email.message_from_bytes(body, policy=email.policy.default)
    html = _part(mail, "text/html")
    return Preview(
        html, _part(mail, "text/plain"), str(mail["Subject"]), len(body), tuple(_links(html)), tuple(missing)
    )


def render_untracked(content: Content, domain: str, recipient: Recipient, now: datetime) -> bytes:
    """A whole mail, signed with throw-away keys. Raises ValueError."""
    batch = Batch(message_id=f"msg_preview@{domain}", domain=domain, template_id="", content=content)
    delivery = Delivery(0, batch.message_id, domain, replace(recipient, tracking=OFF), bytes(16), 1, now)
    return compile_batch(batch, _settings()).fill(delivery, now).body


def _settings() -> BuildSettings:
    private_pem, _ = generate_dkim_key(ED25519_SHA256)
    token_key, _ = generate_token_key()
    return BuildSettings(
        dkim_keys=(DkimKey("preview", ED25519_SHA256, private_pem),),
        token_key=token_key,
        token_ttl=timedelta(days=1),
        bounce_secret=bytes(32),
        bounce_ttl=timedelta(days=1),
    )


def _complete(content: Content, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], str]:
    """The values with names in place of those that are missing, these names, and why it cannot be rendered."""
    template = JinjaTemplate(html=content.html, text=content.text, subject=content.subject)
    completed = copy.deepcopy(dict(values))
    missing: list[str] = []
    while len(missing) < _MAX_MISSING:
        try:
            template.render(completed)
        except MissingField as error:
            if error.name in missing or not _set(completed, error.name):
                return completed, missing, str(error)
            missing.append(error.name)
        except RenderError as error:
            return completed, missing, str(error)
        else:
            return completed, missing, ""
    return completed, missing, f"more than {_MAX_MISSING} values are missing"


def _set(values: dict[str, Any], path: str) -> bool:
    """Sets `order.total` to its name. False where that is not possible, as in a loop."""
    if not _PATH.fullmatch(path):
        return False
    *above, last = path.split(".")
    at: Any = values
    for name in above:
        if not isinstance(at, dict) or name not in at:
            return False
        if isinstance(at[name], str):
            at[name] = {}  # it was missing itself, and is an object
        at = at[name]
    if not isinstance(at, dict):
        return False
    at[last] = f"[{path}]"
    return True


def _part(mail: EmailMessage, kind: str) -> str:
    for part in mail.walk():
        if part.get_content_type() == kind and part.get_content_disposition() is None:
            content: str = part.get_content()
            return content.replace("\r\n", "\n")
    return ""


def _links(html: str) -> list[str]:
    found: dict[str, None] = {}
    for token in TOKEN.finditer(html):
        if token.lastgroup == "closed" and token["start"].lower() in ("a", "area"):
            href = attributes(html, *token.span("attributes"), _HREF).get("href")
            if href is not None:
                found[decode_attribute(html[href.value_start : href.value_end]).strip()] = None
    return list(found)
