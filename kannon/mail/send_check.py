"""The rules of a send: the form of a request, and the recipients that it may have.

In: a `SendRequest` and its `Tenant`. Out: nothing, or the first fault as a CallerError; and for each recipient, in
order, the accepted `Recipient` or the reason for its rejection. Does not check the syntax of recipients' addresses: the
validator does, and its answer is an event.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from kannon.errors import InvalidArgument, LimitExceeded, NotFound, PermissionDenied
from kannon.mail.address import parse_address, parse_mailbox, sender_authorized
from kannon.mail.batch import Attachment, Content, Engine, Recipient
from kannon.mail.bcc import check_bcc
from kannon.mail.build.jinja import JinjaTemplate, MissingField, RenderError
from kannon.mail.build.jinja_syntax import TemplateFault
from kannon.mail.build.mime import MAX_CONTENT_ID
from kannon.mail.build.placeholders import check_unsubscribe_url, fields_for, placeholders_in, unsubscribe_url_resolves
from kannon.mail.header_fields import check_header_fields
from kannon.mail.labels import check_metadata, check_tag
from kannon.mail.send_request import MAX_ADDRESS, Limits, RejectedRecipient, RejectReason, SendRequest, Tenant
from kannon.mail.simulator import simulated_name
from kannon.mail.tracking import NOT_STATED, TrackingPolicy, UnsupportedTracking, effective_policy

_LINE_BREAKS = "\r\n"
_UNSTORABLE = "\x00"  # PostgreSQL stores no NUL in text
_MAX_DEPTH = 20  # of data


def check_subject_and_sender(content: Content, tenant: Tenant) -> None:
    """Raises InvalidArgument or PermissionDenied."""
    if not content.subject.strip():
        raise InvalidArgument("subject", "must not be empty")
    _forbid(content.subject, _LINE_BREAKS + _UNSTORABLE, "subject")
    if not content.sender_email:
        raise InvalidArgument("sender.email", "must not be empty")
    _forbid(content.sender_alias, _LINE_BREAKS + _UNSTORABLE, "sender.alias")
    try:
        address = parse_address(content.sender_email)
    except ValueError as error:
        raise InvalidArgument("sender.email", str(error)) from None
    if not sender_authorized(address.domain, tenant.domain):
        raise PermissionDenied(f'sender domain "{address.domain}" is not authorized for tenant "{tenant.domain}"')


def check_template(request: SendRequest, template_bytes: int | None) -> None:
    """`template_bytes` is the size of the HTML; None where the tenant has no template of that id. Raises NotFound."""
    _forbid(request.content.text, _UNSTORABLE, "text")
    if request.template_id is None:
        _forbid(request.content.html, _UNSTORABLE, "html")
    elif template_bytes is None:
        raise NotFound(f'template_id: no template "{request.template_id[:100]}"')


def check_rest(request: SendRequest, tenant: Tenant, limits: Limits, html_bytes: int) -> None:
    """Headers, tracking, unsubscribe URL, fields, labels, sizes and counts. Raises InvalidArgument or LimitExceeded."""
    content = request.content
    headers = (("to", content.header_to), ("cc", content.header_cc), ("reply_to", content.reply_to))
    for name, values in headers:
        for position, value in enumerate(values):
            try:
                parse_mailbox(value)
            except ValueError as error:
                raise InvalidArgument(f"headers.{name}[{position}]", str(error)) from None
    check_header_fields(content.header_fields)
    check_bcc(request)
    _check_tracking(request.tracking, tenant.ceiling)
    if content.unsubscribe_url:
        _check_unsubscribe_url(content.unsubscribe_url)
    _check_global_fields(content)
    _check_attachments(content.attachments)
    size = html_bytes + len(content.text.encode()) + sum(encoded_size(len(a.content)) for a in content.attachments)
    _check_labels_and_size(request, limits, size)


def check_raw_rest(request: SendRequest, tenant: Tenant, limits: Limits) -> None:
    """Of a raw message what `check_rest` checks of others. Raises InvalidArgument or LimitExceeded."""
    _check_tracking(request.tracking, tenant.ceiling)
    _check_labels_and_size(request, limits, len(request.content.raw or b""))


def _check_labels_and_size(request: SendRequest, limits: Limits, size: int) -> None:
    check_tag(request.tag)
    check_metadata(request.metadata)
    if size > limits.max_bytes:
        raise LimitExceeded(f"the message has {size} bytes, more than the {limits.max_bytes} allowed")
    recipient_count = len(request.recipients) + len(request.bcc)
    if recipient_count > limits.max_recipients:
        raise LimitExceeded(f"{recipient_count} recipients are more than the {limits.max_recipients} allowed")


def encoded_size(content_bytes: int) -> int:
    """Bytes of a part in base64. RFC 2045 §6.8: lines of 76 characters, each followed by CRLF."""
    characters = -(-content_bytes // 3) * 4
    return characters + -(-characters // 76) * 2


def _check_tracking(stated: TrackingPolicy, ceiling: TrackingPolicy) -> None:
    axes = (("opens", stated.opens, ceiling.opens), ("links", stated.links, ceiling.links))
    for axis, mode, highest in axes:
        if mode > highest:
            raise InvalidArgument(
                f"tracking.{axis}", f"{mode.name.lower()} is above the domain's ceiling {highest.name.lower()}"
            )


def _check_global_fields(content: Content) -> None:
    for key, value in content.global_fields.items():
        if isinstance(value, str):
            _forbid(key + value, _UNSTORABLE, "global_fields")
        elif content.engine is Engine.PLAIN:
            raise InvalidArgument("data", "needs a template of engine jinja")
        elif _UNSTORABLE in key or not _is_storable(value):
            raise InvalidArgument("data", f"must have no NUL, finite numbers only, and at most {_MAX_DEPTH} levels")


def _is_storable(value: object, depth: int = 1) -> bool:
    """Whether a JSON value is one that PostgreSQL stores and a template reads in bounded time."""
    match value:
        case str():
            return _UNSTORABLE not in value
        case float():
            return isfinite(value)
        case dict():
            return depth < _MAX_DEPTH and all(
                _UNSTORABLE not in key and _is_storable(each, depth + 1) for key, each in value.items()
            )
        case list():
            return depth < _MAX_DEPTH and all(_is_storable(each, depth + 1) for each in value)
    return True


def compile_jinja(content: Content) -> JinjaTemplate | None:
    """`content` with the HTML of its template. None if its engine is plain. Raises InvalidArgument."""
    if content.engine is Engine.PLAIN:
        return None
    try:
        return JinjaTemplate(html=content.html, text=content.text, subject=content.subject)
    except TemplateFault as fault:
        raise InvalidArgument(fault.text_name, f"{fault.problem} (line {fault.line}, column {fault.column})") from None


def _check_unsubscribe_url(url: str) -> None:
    """RFC 8058 §3.1: an HTTPS URI; placeholders may stand anywhere after the host."""
    name = "one_click_unsubscribe.url_template"
    _forbid(url, _LINE_BREAKS + _UNSTORABLE, name)
    problem = check_unsubscribe_url(url)
    if problem is not None:
        raise InvalidArgument(name, problem)


def _check_attachments(attachments: Sequence[Attachment]) -> None:
    for position, attachment in enumerate(attachments):
        where = f"attachments[{position}]"
        _forbid(attachment.filename, _UNSTORABLE, f"{where}.filename")
        if attachment.content_type and not _is_media_type(attachment.content_type):
            raise InvalidArgument(f"{where}.content_type", 'is not of the form "type/subtype"')
        if any(not "!" <= c <= "~" or c in "<>" for c in attachment.content_id):
            raise InvalidArgument(f"{where}.content_id", "has characters that are not allowed")
        if len(attachment.content_id) > MAX_CONTENT_ID:
            raise InvalidArgument(f"{where}.content_id", f"is longer than {MAX_CONTENT_ID} characters")


def _is_media_type(text: str) -> bool:
    """RFC 2045 §5.1: type/subtype of tokens; parameters may follow, control characters may not."""
    kind, slash, rest = text.partition("/")
    subtype = rest.partition(";")[0].strip()
    return bool(slash) and _is_token(kind) and _is_token(subtype) and text.isascii() and text.isprintable()


def _is_token(text: str) -> bool:
    return bool(text) and all("!" <= c <= "~" and c not in '()<>@,;:\\"/[]?=' for c in text)


def _forbid(text: str, characters: str, name: str) -> None:
    for character in characters:
        if character in text:
            raise InvalidArgument(
                name, "must not contain a NUL" if character == "\x00" else "must not contain a line break"
            )


class RecipientChecker:
    """Checks the recipients of one request in order; it remembers their addresses. Gives every reason but SUPPRESSED,
    the last one, which the database has to answer for all addresses but the simulator's."""

    def __init__(self, request: SendRequest, tenant: Tenant, jinja: JinjaTemplate | None = None) -> None:
        content = request.content
        self._jinja = jinja
        self._global_fields = content.global_fields
        subject = [] if jinja is not None else [content.subject]
        headers = [*subject, *(value for _, value in content.header_fields)]
        self._header_fields = frozenset(key for text in headers for key in placeholders_in(text))
        self._unsubscribe_url = content.unsubscribe_url or None
        self._ceiling = tenant.ceiling
        self._batch_policy = effective_policy(tenant.ceiling, request.tracking)
        self._seen: set[str] = set()

    def check(self, recipient: Recipient) -> Recipient | RejectReason | RejectedRecipient:
        """The accepted recipient has a trimmed address and the effective policy."""
        email, fields, stated = recipient.email.strip(), recipient.fields, recipient.tracking
        if not email or len(email) > MAX_ADDRESS or _UNSTORABLE in email:
            return RejectReason.INVALID_EMAIL
        mailbox = _mailbox_key(email)
        if mailbox in self._seen:
            return RejectReason.DUPLICATE
        self._seen.add(mailbox)
        policy = self._batch_policy
        if stated is not NOT_STATED:
            if isinstance(stated, UnsupportedTracking):
                return RejectReason.UNSUPPORTED_TRACKING_MODE
            if stated.opens > self._ceiling.opens or stated.links > self._ceiling.links:
                return RejectReason.TRACKING_ABOVE_CEILING
            policy = effective_policy(policy, stated)
        if self._unsubscribe_url is not None or self._header_fields:
            merged = fields_for(email, self._global_fields, fields)
            if self._unsubscribe_url is not None and not unsubscribe_url_resolves(self._unsubscribe_url, merged):
                return RejectReason.UNSUBSCRIBE_URL_UNRESOLVED
            if any(not _fits_header(merged.get(name, "")) for name in self._header_fields):
                return RejectReason.INVALID_FIELD
        if any(_UNSTORABLE in key or self._is_invalid(value) for key, value in fields.items()):
            return RejectReason.INVALID_FIELD
        if self._jinja is not None and (problem := self._render(email, fields)) is not None:
            return RejectedRecipient(recipient.email, *problem)
        if simulated_name(email) == "suppressed":
            return RejectReason.SUPPRESSED
        return Recipient(email, fields, policy)

    def _is_invalid(self, value: object) -> bool:
        return _UNSTORABLE in value if isinstance(value, str) else self._jinja is None or not _is_storable(value)

    def _render(self, email: str, fields: Mapping[str, Any]) -> tuple[RejectReason, str] | None:
        if self._jinja is None:
            return None
        try:
            subject = self._jinja.render(fields_for(email, self._global_fields, fields)).subject
        except MissingField as error:
            return RejectReason.MISSING_FIELD, error.name
        except RenderError as error:
            return RejectReason.TEMPLATE_FAILED, str(error)
        return None if _fits_header(subject) else (RejectReason.INVALID_FIELD, "subject")


def _mailbox_key(email: str) -> str:
    """RFC 5321 §2.4: domains are case-insensitive, local parts are not."""
    local, at, domain = email.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _fits_header(value: object) -> bool:
    return isinstance(value, str) and "\r" not in value and "\n" not in value and "\x00" not in value
