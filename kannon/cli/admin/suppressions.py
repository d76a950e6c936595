"""`kannon suppressions`: lists, adds and removes suppressed addresses, and imports and exports them as CSV."""

import csv
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.cli.admin.recipients import read_text
from kannon.cli.completion import complete_domain
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.errors import InvalidArgument, OperatorError
from kannon.mail.labels import check_tag
from kannon.mail.send_request import MAX_ADDRESS
from kannon.pb.admin.v1.suppressions_pb2 import Suppression
from kannon.wire.suppressions import from_cause

app = typer.Typer(help="Addresses to which a domain sends no mail.", no_args_is_help=True, add_completion=False)

_PAGE = 1000
_MAX_NOTE = 500  # the server's limit
_COLUMNS = [
    "email",
    "cause",
    "since",
    "expires_at",
    "note",
    "tag",
    "code",
    "enhanced_status",
    "text",
    "host",
    "message_id",
]

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
Email = Annotated[str, typer.Argument(metavar="ADDRESS", show_default=False)]
Emails = Annotated[list[str], typer.Argument(metavar="ADDRESS...", show_default=False)]


class CauseName(StrEnum):
    """As typed on the command line."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"
    UNSUBSCRIBED = "unsubscribed"


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Domain,
    cause: Annotated[CauseName | None, typer.Option(help="Only this cause.", show_default=False)] = None,
    tag: Annotated[str, typer.Option(help="Only entries for mail with this tag.")] = "",
    after: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Only addresses after this one in the order of the list.")
    ] = "",
    after_tag: Annotated[
        str | None,
        typer.Option(
            metavar="TAG", help="With --after: also entries of that address after this tag.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="At most this many.")] = 100,
) -> None:
    """List a domain's suppressed addresses in alphabetical order."""
    response = await session.admin.list_suppressions(
        domain, cause=cause or "", tag=tag, after=after, after_tag=after_tag, take=limit
    )
    output = session.output
    rows = [
        [s.email, s.tag, s.cause, output.time(s.since), _until(output, s), _reason(s)] for s in response.suppressions
    ]
    columns = ["address", "tag", "cause", "since", "until", prose("reason")]
    output.table(columns, rows, response, Total("suppressed address", "suppressed addresses", response.total))
    if rows and response.total > len(rows):
        last = f" --after-tag {shlex.quote(rows[-1][1])}" if rows[-1][1] else ""
        output.next(f"kannon suppressions list {domain} --after {rows[-1][0]}{last}")
    elif rows:
        output.next(f"kannon suppressions show {domain} {rows[0][0]}")


@client_command(app, "show")
async def show(session: Session, domain: Domain, email: Email) -> None:
    """Show why an address is suppressed. Exits 1 if it is not."""
    response = await session.admin.find_suppressions(domain, email)
    found = response.suppression
    rows: list[tuple[str, str]] = []
    for each in (found, *response.others):
        rows += [
            ("address", each.email),
            ("mail", f"tagged {each.tag}" if each.tag else "all"),
            ("cause", each.cause),
            ("since", session.output.time(each.since)),
            ("until", _until(session.output, each)),
        ]
        if each.event_id:
            rows += [("delivery", str(each.delivery_id)), ("message", each.message_id), ("host", each.host)]
        rows.append(("reason", _reason(each)))
    session.output.pairs(rows, response)
    if found.event_id:
        session.output.next(f"kannon queue why {found.delivery_id}")
    session.output.next(f"kannon suppressions remove {domain} {found.email}")


@client_command(app, "add")
async def add(
    session: Session,
    domain: Domain,
    emails: Emails,
    note: Annotated[str, typer.Option(help="The reason, for people.")] = "",
    expires: Annotated[str, typer.Option(help='When it expires: "90d" from now, or an ISO time. Default: never.')] = "",
    tag: Annotated[str, typer.Option(help="Only for mail with this tag. Default: for all mail.")] = "",
) -> None:
    """Suppress addresses."""
    until = parse_time(expires, datetime.now(UTC), "--expires", ahead=True) if expires else None
    entries = [Suppression(email=email, tag=tag, note=note, expires_at=_timestamp(until)) for email in emails]
    count = await session.admin.add_suppressions(domain, entries)
    session.output.lines(f"{count} added", {"count": count})
    session.output.next(f"kannon suppressions list {domain}")


@client_command(app, "remove")
async def remove(
    session: Session,
    domain: Domain,
    emails: Emails,
    tag: Annotated[
        str | None,
        typer.Option(help='Only the entry for this tag; "" is the one for all mail. Default: all.', show_default=False),
    ] = None,
) -> None:
    """Remove addresses from the list. Exits 1 if one was not suppressed."""
    removed = await session.admin.remove_suppressions(domain, emails, tag)
    session.output.lines("\n".join(f"{email} is removed" for email in removed), {"removed": removed})
    session.output.next(f"kannon suppressions list {domain}")
    if len(removed) < len({email.strip().lower() for email in emails}):
        raise OperatorError("some of these addresses were not suppressed")


@client_command(app, "import")
async def import_(
    session: Session,
    domain: Domain,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="One address a line, or CSV as export writes it; - is stdin.")
    ],
) -> None:
    """Suppress the addresses of a file. A second run changes nothing."""
    entries = list(_read(file))
    count = 0
    for start in range(0, len(entries), _PAGE):
        count += await session.admin.add_suppressions(domain, entries[start : start + _PAGE])
    session.output.lines(f"{count} of {len(entries)} added", {"count": count, "read": len(entries)})
    session.output.next(f"kannon suppressions list {domain}")


@client_command(app, "export")
async def export(session: Session, domain: Domain) -> None:
    """Print all suppressed addresses as CSV, or as one document with --json."""
    found = [suppression async for suppression in _all(session, domain)]
    if session.output.as_json:
        session.output.json({"suppressions": found})
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in found:
        times = {"since": _iso(each.since), "expires_at": _iso(each.expires_at) if each.HasField("expires_at") else ""}
        writer.writerow([times.get(column, str(getattr(each, column))) for column in _COLUMNS])


@client_command(app, "policy")
async def policy(
    session: Session,
    domain: Domain,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.", show_default=False)] = None,
) -> None:
    """Show or switch whether bounces and complaints suppress addresses of the domain."""
    if enabled is not None:
        await session.admin.set_suppression(domain, enabled=enabled)
    state = await session.admin.suppression_enabled(domain)
    session.output.lines(f"suppression is {'on' if state else 'off'} for {domain}", {"enabled": state})
    session.output.next(f"kannon suppressions policy {domain} --{'off' if state else 'on'}")


async def _all(session: Session, domain: str) -> AsyncIterator[Suppression]:
    after, after_tag = "", None
    while page := (
        await session.admin.list_suppressions(domain, after=after, after_tag=after_tag, take=_PAGE)
    ).suppressions:
        for suppression in page:
            yield suppression
        after, after_tag = page[-1].email, page[-1].tag


def _read(file: Path) -> Iterator[Suppression]:
    """Raises OperatorError naming the line."""
    lines = read_text(file).removeprefix("\ufeff").splitlines(keepends=True)
    header = next(csv.reader(lines[:1]), [])
    added = 0
    if not header or "@" in header[0]:
        lines, header, added = ["email\n", *lines], ["email"], 1
    if "email" not in header:
        raise OperatorError(f"{file}: the first line must name the columns, one of them email")
    reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            if (row.get("email") or "").strip():
                yield _entry(row)
    except (csv.Error, ValueError) as error:
        raise OperatorError(f"{file}: line {reader.reader.line_num - added}: {error}") from None
    except InvalidArgument as error:
        raise OperatorError(f"{file}: line {reader.reader.line_num - added}: {error.field}: {error.problem}") from None


def _entry(row: Mapping[str, str | None]) -> Suppression:
    """Applies the server's checks, so that the error can name the line. Raises ValueError or InvalidArgument."""
    email, note = (row["email"] or "").strip(), row.get("note") or ""
    local, _, host = email.rpartition("@")
    if not (local and host):
        raise ValueError(f'"{email}" is not an address')
    if len(email) > MAX_ADDRESS:
        raise ValueError(f"the address is longer than {MAX_ADDRESS} characters")
    if len(note) > _MAX_NOTE:
        raise ValueError(f"note: longer than {_MAX_NOTE} characters")
    tag = row.get("tag") or ""
    check_tag(tag)
    return Suppression(
        email=email,
        tag=tag,
        cause=from_cause(row.get("cause") or "") or "",
        since=_stamp(row.get("since")),
        expires_at=_stamp(row.get("expires_at")),
        note=note,
    )


def _stamp(text: str | None) -> Timestamp | None:
    return _timestamp(datetime.fromisoformat(text).astimezone(UTC)) if text else None


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _iso(at: Timestamp) -> str:
    return at.ToDatetime(UTC).isoformat()


def _until(output: Output, suppression: Suppression) -> str:
    return output.time(suppression.expires_at) if suppression.HasField("expires_at") else "never"


def _reason(suppression: Suppression) -> str:
    reply = f"{suppression.code or ''} {suppression.enhanced_status} {suppression.text}"
    return suppression.note or " ".join(reply.split())
