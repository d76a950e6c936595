"""Domain names, addresses and mailboxes: canonical forms and syntax checks.

In: text of a caller or a remote server. Out: canonical domains (lower case, A-labels), `Address` values, or a short
reason for the refusal. No DNS look-up happens here: a domain that does not exist is found at delivery.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import idna
from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PublicSuffixList

MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3: a path is 256 octets, angle brackets included
MAX_LOCAL = 64  # RFC 5321 §4.5.3.1.1
_MAX_DOMAIN = 253  # RFC 1035 §2.3.4: 255 octets on the wire
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
# RFC 5321 §4.1.2: Dot-string, the common case, which needs no full parser.
_DOT_STRING = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*+")
_QUOTED_PAIR = re.compile(r"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0080-\u009f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Address:
    """`local` as written, `domain` canonical. `str()` is the form in SMTP commands and header fields."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@lru_cache(maxsize=4096)
def canonical_domain(text: str) -> str:
    """Trimmed, in lower case, internationalised labels as A-labels. Raises ValueError with a short reason."""
    domain = text.strip()
    if len(domain) > 4 * _MAX_DOMAIN:
        raise ValueError("domain name is too long")
    if not domain.isascii():
        domain = _to_a_labels(domain)
    domain = domain.lower()
    labels = domain.split(".")
    if len(labels) < 2:
        raise ValueError("domain name needs two labels or more")
    if len(domain) > _MAX_DOMAIN:
        raise ValueError("domain name is too long")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError("domain name has an empty, overlong or malformed label")
    return domain


def _to_a_labels(domain: str) -> str:
    # RFC 5891 §4.4, after the mapping of UTS 46 (full-width dots, capitals).
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False)
        return ".".join(x if x.isascii() else idna.alabel(x).decode("ascii") for x in mapped.split("."))
    except (idna.IDNAError, UnicodeError):
        raise ValueError("domain name is not a valid internationalised name") from None


def parse_address(text: str) -> Address:
    """One address without display name, `local@domain`. Raises ValueError; the reason never contains the address."""
    if not text:
        raise ValueError("address is empty")
    if _CONTROL.search(text):
        raise ValueError("address has a control character")
    local, at, host = text.rpartition("@")
    if not at:
        raise ValueError("address has no @")
    if not local:
        raise ValueError("address has no local part")
    if len(local.encode()) > MAX_LOCAL:
        raise ValueError("local part is longer than 64 octets")
    if host != host.strip():
        raise ValueError("address has white space")
    domain = canonical_domain(host)
    if domain.rpartition(".")[2].isdecimal():
        raise ValueError("domain name is a number")
    if any(label.startswith("-") or label.endswith("-") for label in domain.split(".")):
        raise ValueError("a label of the domain name begins or ends with a hyphen")
    if not _DOT_STRING.fullmatch(local):
        local = _uncommon_local(local)
    if len(local.encode()) + 1 + len(domain) > MAX_ADDRESS:
        raise ValueError("address is longer than 254 octets")
    return Address(local, domain)


def _uncommon_local(local: str) -> str:
    """Quoted strings (RFC 5321 §4.1.2) and international local parts (RFC 6531 §3.3)."""
    try:
        found = validate_email(
            f"{local}@a.example",
            check_deliverability=False,
            allow_quoted_local=True,
            allow_smtputf8=True,
            test_environment=True,
        )
    except EmailNotValidError as error:
        reason = str(error).rstrip(".")
        raise ValueError(reason if reason.isascii() and len(reason) < 100 else "malformed local part") from None
    return found.local_part


def parse_mailbox(text: str) -> tuple[str, Address]:
    """`address`, or `display name <address>` (RFC 5322 §3.4). Raises ValueError with a short reason."""
    text = text.strip()
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    if not text.endswith(">"):
        return "", parse_address(text)
    name, _, address = text[:-1].rpartition("<")
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = _QUOTED_PAIR.sub(r"\1", name[1:-1])
    elif any(c in name for c in '<>"'):
        # RFC 5322 §3.4 requires quotes for other special characters too; without them the name is still unambiguous:
        # `Doe, John <j@example.com>`.
        raise ValueError("malformed display name")
    return name, parse_address(address)


def check_recipient(email: str) -> str | None:
    """The reason of a rejected event for a malformed address, which begins as the reason of a send does, or None."""
    try:
        parse_address(email)
    except ValueError as error:
        return f"invalid_email: {error}"
    return None


@lru_cache(maxsize=1)
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=4096)
def registrable_domain(host: str) -> str:
    """`mx1.mail.example.co.uk` → `example.co.uk`; an IP address or a single label is returned unchanged."""
    host = host.lower().rstrip(".")
    if host.rpartition(".")[2].isdecimal():
        return host
    return _public_suffixes().privatesuffix(host) or host


def sender_authorized(sender_host: str, tenant_domain: str) -> bool:
    """Whether the sender's host is the tenant's domain, or a parent of it that is no public suffix."""
    try:
        host, tenant = canonical_domain(sender_host), canonical_domain(tenant_domain)
    except ValueError:
        return False
    if host == tenant:
        return True
    return tenant.endswith("." + host) and not _public_suffixes().is_public(host)
