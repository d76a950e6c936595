"""The kinds of values in the configuration: how each is parsed, checked and printed.

In: the value in a TOML file or a variable. Out: the checked value, or ValueError that names a right one. load.py adds
the key to the error.
"""

import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_size(value: object) -> object:
    """`"25MiB"` → bytes; a plain number is bytes already."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError('a size such as "25MiB" is needed')
        return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]
    return value


def parse_duration(value: object) -> object:
    """`"5m"` → timedelta; units ms, s, m, h, d. A bare number has no unit and is refused."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a duration such as "5m" is needed')
    try:
        return timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError("the duration is too long") from None


def show_size(size: int) -> str:
    """The shortest text that `parse_size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit.lower()] == 0:
            return f"{size // _SIZE_UNITS[unit.lower()]}{unit}"
    return f"{size}B"


def show_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back."""
    for unit in ("d", "h", "m", "s"):
        one = timedelta(**{_DURATION_UNITS[unit]: 1})
        if duration % one == timedelta(0):
            return f"{duration // one}{unit}" if duration else "0s"
    return f"{duration // timedelta(milliseconds=1)}ms"


PERCENTAGE_LIMIT = 1 << 30
"""Bytes. Kannon needs no more on a large disk that other programs fill too; a size can ask for more."""


def reserve_bytes(text: str, total: int) -> int:
    """`"5%"` of `total` bytes but at most PERCENTAGE_LIMIT, or a size such as `"2GiB"`. Raises ValueError."""
    match = _PERCENT.fullmatch(text.strip())
    if match is not None and float(match[1]) < 100:
        return min(int(total * float(match[1]) / 100), PERCENTAGE_LIMIT)
    if match is None and _SIZE.fullmatch(text.strip()):
        size = parse_size(text)
        return size if isinstance(size, int) else 0
    raise ValueError('a percentage such as "5%" or a size such as "2GiB" is needed')


def check_reserve(value: str) -> str:
    reserve_bytes(value, 0)
    return value


def check_listen(value: str) -> str:
    """`host:port`, IPv6 in brackets; port 0 lets the system choose."""
    split_listen(value)
    return value


def split_listen(value: str) -> tuple[str, int]:
    """`"[::1]:25"` → `("::1", 25)`. Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError('"host:port" is needed')
    return host.removeprefix("[").removesuffix("]"), int(port)


def check_nameserver(value: str) -> str:
    host = value
    if value.startswith("[") or value.count(":") == 1:
        host, _ = split_listen(value)
    ip_address(host)
    return value


def check_address(value: str) -> str:
    ip_address(value)
    return value


def check_origin(value: str) -> str:
    """RFC 6454 §6.2: scheme, host and port as browsers send them; or "*"."""
    if value != "*" and not re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", value):
        raise ValueError('an origin such as "https://app.example.com" is needed, in lower case and without a path')
    return value


def check_network(value: str) -> str:
    ip_network(value)
    return value


def check_postgres_url(value: str) -> str:
    if value and not value.startswith(("postgres://", "postgresql://")):
        raise ValueError('"postgres://user@host/database" is needed')
    return value


def check_nats_url(value: str) -> str:
    if value and not all(part.strip().startswith(("nats://", "tls://")) for part in value.split(",")):
        raise ValueError('"nats://host:4222" (or several, separated by commas) is needed')
    return value


def check_base_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", value):
        raise ValueError('"https://host" is needed')
    return value.rstrip("/")


def check_directory(value: str) -> str:
    if not re.fullmatch(r"https://[^/\s?#]+/\S*", value):
        raise ValueError('the URL of an ACME directory is needed: "https://host/path"')
    return value


def check_hostname(value: str) -> str:
    if value and (len(value) > 253 or not all(_LABEL.fullmatch(label) for label in value.split("."))):
        raise ValueError("a host name is needed")
    return value


def check_pattern(value: str) -> str:
    """`example.com`, `*.example.com` or `.example.com` for its subdomains, `*` for all. Returns the canonical spelling,
    in which recipients' domains are compared with it."""
    from kannon.mail.address import canonical_domain  # late: only a configuration with routes needs its libraries

    name = value.lstrip("*.")
    prefix, name = value[: len(value) - len(name)], name.rstrip(".")
    if prefix not in ("", "*", ".", "*.") or (prefix == "*") is bool(name):
        raise ValueError('"example.com", "*.example.com" or "*" is needed')
    return prefix + (name.lower() if name.isascii() and "." not in name else canonical_domain(name))


def check_mailbox(value: str) -> str:
    """An address. Returns it with its domain in canonical spelling."""
    from kannon.mail.address import canonical_domain  # late: only a configuration with an address needs its libraries

    if not value:
        return value
    local, at, domain = value.rpartition("@")
    if not at or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", local):
        raise ValueError('an address such as "tls-reports@example.com" is needed')
    return f"{local}@{canonical_domain(domain)}"


def no_controls(value: str) -> str:
    if any(ord(c) < 0x20 for c in value):
        raise ValueError("control characters are not allowed")
    return value


def check_token(value: SecretStr) -> SecretStr:
    """A token travels as an HTTP/2 header value, which can hold no other characters (RFC 9113 §8.2.1)."""
    text = value.get_secret_value()
    if text != text.strip() or not (text.isascii() and (text.isprintable() or not text)):
        raise ValueError("printable ASCII characters without spaces at either end are needed")
    return value


def check_master_keys(value: SecretStr) -> SecretStr:
    from kannon.mail.master_key import parse_master_keys  # late: only a configuration with a key needs its libraries

    if text := value.get_secret_value():
        parse_master_keys(text)
    return value


def mask(value: SecretStr) -> str:
    return "***" if value.get_secret_value() else ""


# The serializers make `model_dump(mode="json")` print what the parsers read back; secrets print as ***.
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0), PlainSerializer(show_size, when_used="json")]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(show_duration, when_used="json")]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
Secret = Annotated[SecretStr, PlainSerializer(mask, when_used="json")]
Token = Annotated[Secret, AfterValidator(check_token)]
MasterKeys = Annotated[Secret, AfterValidator(check_master_keys)]
Listen = Annotated[str, AfterValidator(check_listen)]
Port = Annotated[int, Field(ge=1, le=65535)]
Hostname = Annotated[str, AfterValidator(check_hostname)]
ComponentName = Literal["api", "validator", "dispatcher", "sender", "smtp", "submission", "bump", "stats", "webhooks"]
"""Declared here because the configuration cannot import kannon.app, whose COMPONENTS table has a row for each."""
