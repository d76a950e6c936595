"""The claims of a token ⇄ its JSON payload.

Out: JSON as short as possible, for it is part of a URL. In: untrusted text. `parse_payload` refuses everything that
`make_payload` does not write: claims that are duplicate, missing or of another type.
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from json.encoder import encode_basestring as _quote
from typing import Any, NamedTuple

from kannon.mail.message_id import anonymous_address, tracking_address
from kannon.mail.tracking import TrackingMode

_BATCH_PREFIX = "msg_"
_HTTPS = "https:"


class Channel(StrEnum):
    """The `aud` claim, and the path on which a token is valid."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"


class Claims(NamedTuple):
    """`email` is the recipient's address (identified, full), a pseudonym, or the shared anonymous address.
    `delivery_id` is 0 where it would identify the recipient. Times are whole seconds since 1970."""

    channel: Channel
    mode: TrackingMode
    domain: str
    message_id: str
    email: str
    issued: int
    expires: int
    delivery_id: int = 0
    url: str = ""


def make_payload(claims: Claims) -> str:
    """JSON without an encoder: this runs for every link of every mail."""
    local, _, domain = claims.message_id.removeprefix(_BATCH_PREFIX).partition("@")
    if domain == claims.domain and claims.message_id.startswith(_BATCH_PREFIX):
        batch = f'"m":{_quote(f"{local}@{domain}")}'
    else:
        batch = f'"m":{_quote(claims.message_id)},"d":{_quote(claims.domain)}'
    if claims.mode is TrackingMode.ANONYMOUS:
        recipient = ""
    elif claims.mode is TrackingMode.PSEUDONYMOUS:
        recipient = f',"w":{_quote(claims.email.partition("@")[0])}'
    else:
        recipient = f',"w":{_quote(claims.email)},"i":{claims.delivery_id}'
    url = claims.url.removeprefix(_HTTPS) if claims.url.startswith(_HTTPS + "//") else claims.url
    target = f',"u":{_quote(url)}' if url else ""
    times = f'"exp":{claims.expires},"iat":{claims.issued}'
    return f'{{"aud":"{claims.channel}",{times},{batch},"t":{claims.mode:d}{recipient}{target}}}'


def _read_claims(payload: dict[str, Any]) -> Claims:
    """Raises ValueError, KeyError or TypeError for any form that `make_payload` does not write."""
    mode, batch = TrackingMode(_number(payload["t"])), _text(payload["m"])
    domain = _text(payload["d"]) if "d" in payload else batch.partition("@")[2]
    if mode is TrackingMode.ANONYMOUS:
        email = anonymous_address(domain)
    elif mode is TrackingMode.PSEUDONYMOUS:
        email = tracking_address(_text(payload["w"]), domain)
    elif mode in (TrackingMode.IDENTIFIED, TrackingMode.FULL):
        email = _text(payload["w"])
    else:
        raise ValueError("token without a mode")
    channel = Channel(_text(payload["aud"]))
    url = _text(payload["u"]) if channel is Channel.CLICK else ""
    return Claims(
        channel=channel,
        mode=mode,
        domain=domain,
        message_id=batch if "d" in payload else _BATCH_PREFIX + batch,
        email=email,
        issued=_number(payload["iat"]),
        expires=_number(payload["exp"]),
        delivery_id=_number(payload.get("i", 0)),
        url=_HTTPS + url if url.startswith("//") else url,
    )


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError("a number is needed")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text is needed")
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 §4: parsers disagree about duplicate claims, so a token with one is refused."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("duplicate claim")
        found[name] = value
    return found


from_json = json.JSONDecoder(object_pairs_hook=_unique).decode


def parse_payload(payload: bytes) -> Claims | None:
    """None for anything that is no payload of a token."""
    try:
        return _read_claims(from_json(payload.decode()))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
