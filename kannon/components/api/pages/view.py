"""From values to HTML: the templates, their filters, and the page around each."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from kannon.components.api.pages.forms import TOKEN_FIELD
from kannon.components.api.pages.session import Session

FOLDER = Path(__file__).parent
NAVIGATION: Sequence[tuple[str, str]] = (
    ("/", "Overview"),
    ("/batches", "Batches"),
    ("/deliveries", "Queue"),
    ("/domains", "Domains"),
    ("/suppressions", "Suppressions"),
    ("/destinations", "Destinations"),
    ("/dead-letters", "Dead letters"),
    ("/audit", "Audit log"),
    ("/config", "Configuration"),
)
NOTICES: Mapping[str, str] = {
    "cancelled": "Cancelled. What a sender holds already may still be delivered.",
    "paused": "Paused.",
    "resumed": "Resumed.",
    "retried": "It is tried now.",
    "suppressed": "The address is suppressed.",
    "added": "Added.",
    "removed": "Removed.",
    "saved": "Saved.",
    "created": "Created.",
    "deleted": "Deleted.",
    "republished": "Published again.",
    "tested": "A test event is on its way.",
}
"""What a page says after a change, by the word in its URL."""
HTTP_STATUSES: Mapping[Status, int] = {
    Status.INVALID_ARGUMENT: 400,
    Status.OUT_OF_RANGE: 400,
    Status.UNAUTHENTICATED: 401,
    Status.PERMISSION_DENIED: 403,
    Status.NOT_FOUND: 404,
    Status.ALREADY_EXISTS: 409,
    Status.FAILED_PRECONDITION: 409,
    Status.RESOURCE_EXHAUSTED: 413,
    Status.UNAVAILABLE: 503,
}
"""500 for every other."""
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    content_type: str
    version: str


@cache
def asset(name: str) -> Asset | None:
    types = {"kannon.css": "text/css; charset=utf-8", "kannon.js": "text/javascript; charset=utf-8"}
    types["icon.svg"] = "image/svg+xml"
    if name not in types:
        return None
    content = (FOLDER / "assets" / name).read_bytes()
    return Asset(content, types[name], hashlib.sha256(content).hexdigest()[:12])


def asset_url(name: str) -> str:
    found = asset(name)
    return f"/assets/{found.version if found else ''}/{name}"


def moment(value: Timestamp | datetime | None) -> datetime | None:
    """Aware; None where it is not set."""
    if isinstance(value, Timestamp):
        return value.ToDatetime(UTC) if value.seconds or value.nanos else None
    return value


def span(seconds: float) -> str:
    """`3 min`, `2 h`."""
    seconds = abs(seconds)
    for name, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return "0 s"


def ago(value: Timestamp | datetime | None, now: datetime | None = None) -> str:
    at = moment(value)
    if at is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"


def stamp(value: Timestamp | datetime | None) -> str:
    at = moment(value)
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def iso(value: Timestamp | datetime | None) -> str:
    at = moment(value)
    return "" if at is None else at.isoformat(timespec="seconds")


def number(value: float) -> str:
    """Digits in threes."""
    return f"{int(value):,}".replace(",", "\u202f")


def percent(part: float, whole: float) -> str:
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.2f} %" if 0 < share < 1 else f"{share:.1f} %"


def url(path: str, /, **query: object) -> str:
    """`path` is ours; empty values are left out."""
    kept = {name: value for name, value in query.items() if value not in ("", None, 0)}
    return f"{path}?{urlencode(kept)}" if kept else path


def segment(text: object) -> str:
    """One segment of a path."""
    return quote(str(text), safe="@.-_~")


def when(value: Timestamp | datetime | None) -> Markup:
    return _time(value, stamp(value), ago(value))


def since(value: Timestamp | datetime | None) -> Markup:
    return _time(value, ago(value), f"{stamp(value)} UTC")


def _time(value: Timestamp | datetime | None, text: str, title: str) -> Markup:
    if moment(value) is None:
        return Markup("–")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(value), title, text)


def copy(text: str) -> Markup:
    """A button for those with JavaScript."""
    return Markup('<button class="plain" type="button" hidden data-copy="{}">copy</button>').format(text)


def token_field(session: Session | None) -> Markup:
    value = "" if session is None else session.form_token
    return Markup('<input type="hidden" name="{}" value="{}">').format(TOKEN_FIELD, value)


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "ago": ago,
        "stamp": stamp,
        "iso": iso,
        "span": span,
        "number": number,
        "percent": percent,
        "segment": segment,
        "moment": moment,
        "pretty_json": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    }
    made.filters.update(filters)
    made.globals.update(asset_url=asset_url, navigation=NAVIGATION, url=url, when=when, since=since, copy=copy)
    return made


def session_of(request: Request) -> Session:
    session: Session = request.state.session
    return session


def render(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page with its navigation."""
    session: Session | None = getattr(request.state, "session", None)
    notice = NOTICES.get(request.query_params.get("done", ""), "")
    text = (
        environment()
        .get_template(template)
        .render(
            values
            | {
                "session": session,
                "token": partial(token_field, session),
                "path": request.url.path,
                "here": "/" + request.url.path.split("/")[1],
                "notice": notice,
            }
        )
    )
    return HTMLResponse(text, status)
