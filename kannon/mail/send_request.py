"""Intake: what a send must look like, and which of its recipients are taken.

In: a `Submission` and what is known of the tenant. Out: nothing, or the first fault as the CallerError it is; and for
each recipient, in order, a `AcceptedRecipient` or the reason it is refused. Refuses to judge address syntax of
recipients: that is the validator's, whose answer is an event.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kannon.errors import InvalidArgument, LimitExceeded, NotFound, PermissionDenied
from kannon.mail.address import parse_address, parse_mailbox, sender_authorized
from kannon.mail.batch import Attachment
from kannon.mail.build.placeholders import check_unsubscribe_url, fields_for, placeholders_in, unsubscribe_url_resolves
from kannon.mail.suppression import address_key
from kannon.mail.tracking import TrackingMode, TrackingPolicy, effective_policy

MAX_ADDRESS = 320  # RFC 3696 erratum 1690 has 254; 64 + "@" + 255 is what the grammar could ever hold
_LINE_BREAKS = "\r\n"
_UNSTORABLE = "\x00"  # PostgreSQL keeps no NUL in text
_MODES = frozenset(int(mode) for mode in TrackingMode)


@dataclass(frozen=True, slots=True)
class StatedTracking:
    """As the caller wrote it: numbers that need not be modes we know."""

    opens: int = 0
    links: int = 0

    @property
    def known(self) -> bool:
        return self.opens in _MODES and self.links in _MODES

    @property
    def policy(self) -> TrackingPolicy:
        return TrackingPolicy(TrackingMode(self.opens), TrackingMode(self.links))


NOTHING_STATED = StatedTracking()


@dataclass(frozen=True, slots=True)
class Submission:
    """One call, without its recipients. `html` is None where a template is named, `template_id` empty where html is
    given; `scheduled_at` None is now; `unsubscribe_url` None where one-click unsubscribe is not asked for."""

    sender_email: str
    sender_alias: str
    subject: str
    recipient_count: int
    html: str | None = None
    template_id: str = ""
    scheduled_at: datetime | None = None
    header_to: tuple[str, ...] = ()
    header_cc: tuple[str, ...] = ()
    global_fields: Mapping[str, str] = field(default_factory=dict)
    tracking: StatedTracking = NOTHING_STATED
    unsubscribe_url: str | None = None
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one send (`message.max_bytes`, `message.max_recipients`)."""

    max_bytes: int
    max_recipients: int


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose key opened the call, and the most its domain allows to be tracked. `suppresses`: there are addresses that
    the domain does not write to."""

    domain: str
    ceiling: TrackingPolicy
    suppresses: bool = False


class RejectReason(StrEnum):
    """Why a recipient is not taken; the order is the order of the checks."""

    INVALID_EMAIL = "invalid_email"
    DUPLICATE = "duplicate"
    UNSUPPORTED_TRACKING_MODE = "unsupported_tracking_mode"
    TRACKING_ABOVE_CEILING = "tracking_above_ceiling"
    UNSUBSCRIBE_URL_UNRESOLVED = "unsubscribe_url_unresolved"
    INVALID_FIELD = "invalid_field"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class AcceptedRecipient:
    """A recipient that becomes a delivery; `policy` is the effective one, frozen from now on."""

    email: str
    fields: Mapping[str, str]
    policy: TrackingPolicy


def check_subject_and_sender(send: Submission, tenant: Tenant) -> None:
    """Raises InvalidArgument or PermissionDenied."""
    if not send.subject.strip():
        raise InvalidArgument("subject", "must not be empty")
    _refuse(send.subject, _LINE_BREAKS + _UNSTORABLE, "subject")
    if not send.sender_email:
        raise InvalidArgument("sender.email", "must not be empty")
    _refuse(send.sender_alias, _LINE_BREAKS + _UNSTORABLE, "sender.alias")
    try:
        address = parse_address(send.sender_email)
    except ValueError as error:
        raise InvalidArgument("sender.email", str(error)) from None
    if not sender_authorized(address.domain, tenant.domain):
        raise PermissionDenied(f'sender domain "{address.domain}" is not authorized for tenant "{tenant.domain}"')


def check_template(send: Submission, template_bytes: int | None) -> None:
    """`template_bytes` is the size of the tenant's template of that id, None where there is none. Raises NotFound."""
    if send.html is None and template_bytes is None:
        raise NotFound(f'template_id: no template "{send.template_id[:100]}"')
    if send.html is not None:
        _refuse(send.html, _UNSTORABLE, "html")


def check_rest(send: Submission, tenant: Tenant, limits: Limits, html_bytes: int) -> None:
    """Headers, tracking, unsubscribe URL, fields, sizes and counts. Raises InvalidArgument or LimitExceeded."""
    for name, values in (("headers.to", send.header_to), ("headers.cc", send.header_cc)):
        for position, value in enumerate(values):
            try:
                parse_mailbox(value)
            except ValueError as error:
                raise InvalidArgument(f"{name}[{position}]", str(error)) from None
    _check_tracking(send.tracking, tenant.ceiling)
    if send.unsubscribe_url is not None:
        _check_unsubscribe_url(send.unsubscribe_url)
    for key, value in send.global_fields.items():
        _refuse(key + value, _UNSTORABLE, "global_fields")
    _check_attachments(send.attachments)
    size = html_bytes + sum(encoded_size(len(a.content)) for a in send.attachments)
    if size > limits.max_bytes:
        raise LimitExceeded(f"the message has {size} bytes, more than the {limits.max_bytes} allowed")
    if send.recipient_count > limits.max_recipients:
        raise LimitExceeded(f"{send.recipient_count} recipients are more than the {limits.max_recipients} allowed")


def encoded_size(content_bytes: int) -> int:
    """Bytes of a part in base64. RFC 2045 §6.8: lines of 76 characters, each followed by CRLF."""
    characters = -(-content_bytes // 3) * 4
    return characters + -(-characters // 76) * 2


def _check_tracking(stated: StatedTracking, ceiling: TrackingPolicy) -> None:
    axes = (("opens", stated.opens, ceiling.opens), ("links", stated.links, ceiling.links))
    for axis, asked, highest in axes:
        if asked not in _MODES:
            raise InvalidArgument(f"tracking.{axis}", f"unknown mode {asked}")
        if asked > highest:
            asked_name = TrackingMode(asked).name.lower()
            raise InvalidArgument(
                f"tracking.{axis}", f"{asked_name} is above the domain's ceiling {highest.name.lower()}"
            )


def _check_unsubscribe_url(url: str) -> None:
    """RFC 8058 §3.1: an HTTPS URI; placeholders may stand anywhere after the host."""
    name = "one_click_unsubscribe.url_template"
    _refuse(url, _LINE_BREAKS + _UNSTORABLE, name)
    problem = check_unsubscribe_url(url)
    if problem is not None:
        raise InvalidArgument(name, problem)


def _check_attachments(attachments: Sequence[Attachment]) -> None:
    for position, attachment in enumerate(attachments):
        where = f"attachments[{position}]"
        _refuse(attachment.filename, _UNSTORABLE, f"{where}.filename")
        if attachment.content_type and not _is_media_type(attachment.content_type):
            raise InvalidArgument(f"{where}.content_type", 'is not of the form "type/subtype"')
        if any(not "!" <= c <= "~" or c in "<>" for c in attachment.content_id):
            raise InvalidArgument(f"{where}.content_id", "has characters that are not allowed")


def _is_media_type(text: str) -> bool:
    """RFC 2045 §5.1: type/subtype of tokens; parameters may follow but control characters may not."""
    kind, slash, rest = text.partition("/")
    subtype = rest.partition(";")[0].strip()
    return bool(slash) and _is_token(kind) and _is_token(subtype) and text.isascii() and text.isprintable()


def _is_token(text: str) -> bool:
    return bool(text) and all("!" <= c <= "~" and c not in '()<>@,;:\\"/[]?=' for c in text)


def _refuse(text: str, characters: str, name: str) -> None:
    for character in characters:
        if character in text:
            raise InvalidArgument(name, "must not hold a NUL" if character == "\x00" else "must not hold a line break")


class RecipientChecker:
    """Judges one call's recipients in order; it remembers the addresses it has seen. `suppressed` are those that the
    domain does not write to, in the form in which addresses are compared."""

    def __init__(self, send: Submission, tenant: Tenant, suppressed: Set[str] = frozenset()) -> None:
        self._global_fields = send.global_fields
        self._subject_fields = frozenset(placeholders_in(send.subject))
        self._unsubscribe_url = send.unsubscribe_url
        self._ceiling = tenant.ceiling
        self._batch_policy = effective_policy(tenant.ceiling, send.tracking.policy)
        self._suppressed = suppressed
        self._seen: set[str] = set()

    def judge(self, email: str, fields: Mapping[str, str], stated: StatedTracking) -> AcceptedRecipient | RejectReason:
        email = email.strip()
        if not email or len(email) > MAX_ADDRESS or _UNSTORABLE in email:
            return RejectReason.INVALID_EMAIL
        identity = _identity(email)
        if identity in self._seen:
            return RejectReason.DUPLICATE
        self._seen.add(identity)
        policy = self._batch_policy
        if stated is not NOTHING_STATED:
            if not stated.known:
                return RejectReason.UNSUPPORTED_TRACKING_MODE
            if stated.opens > self._ceiling.opens or stated.links > self._ceiling.links:
                return RejectReason.TRACKING_ABOVE_CEILING
            policy = effective_policy(policy, stated.policy)
        if self._unsubscribe_url is not None or self._subject_fields:
            merged = fields_for(email, self._global_fields, fields)
            if self._unsubscribe_url is not None and not unsubscribe_url_resolves(self._unsubscribe_url, merged):
                return RejectReason.UNSUBSCRIBE_URL_UNRESOLVED
            if any(not _fits_subject(merged.get(name, "")) for name in self._subject_fields):
                return RejectReason.INVALID_FIELD
        if any(_UNSTORABLE in key or _UNSTORABLE in value for key, value in fields.items()):
            return RejectReason.INVALID_FIELD
        if self._suppressed and address_key(email) in self._suppressed:
            return RejectReason.SUPPRESSED
        return AcceptedRecipient(email, fields, policy)


def _identity(email: str) -> str:
    """RFC 5321 §2.4: domains know no case, local parts do."""
    local, at, domain = email.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _fits_subject(value: str) -> bool:
    return "\r" not in value and "\n" not in value and "\x00" not in value
