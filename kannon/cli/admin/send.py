"""`kannon send`: an HTML file or a template, to the recipients of a list.

In: files and options. Out: one batch per 10,000 recipients, each sent under an idempotency key of its own, so that a
call whose answer was lost is repeated without sending twice. Without --key a key is made for the occasion by the admin
token, and revoked afterwards.
"""

import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated

import anyio
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.cli.admin.preview import render_preview
from kannon.cli.admin.recipients import read_recipients, read_text
from kannon.cli.connection import Session, client_command
from kannon.cli.timeparse import parse_moment
from kannon.client import Client
from kannon.errors import OperatorError, Unavailable
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import Attachment, SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Headers, OneClickUnsubscribe, Recipient, Sender

app = typer.Typer(add_completion=False)

BATCH = 10_000
"""Recipients of one call: about a megabyte, about half a second."""
_TRIES = 4
_KEY_LIFE = timedelta(hours=1)

SendRequest = SendHTMLReq | SendTemplateReq


@client_command(app, "send")
async def send(
    session: Session,
    sender: Annotated[str, typer.Option("--from", help='"Name <address>".', show_default=False)],
    subject: Annotated[str, typer.Option(help="May hold {{ placeholders }}.", show_default=False)],
    html: Annotated[Path | None, typer.Option(help="HTML file; - is standard input.", show_default=False)] = None,
    template: Annotated[str, typer.Option(help="Template id, in place of --html.")] = "",
    to: Annotated[list[str], typer.Option(help="A recipient; may be repeated.", show_default=False)] = [],  # noqa: B006
    recipients: Annotated[
        Path | None, typer.Option(help="CSV or JSON lines with email and fields; - is standard input.")
    ] = None,
    field: Annotated[list[str], typer.Option(help="NAME=VALUE for all; may be repeated.")] = [],  # noqa: B006
    attach: Annotated[list[Path], typer.Option(help="A file; may be repeated.")] = [],  # noqa: B006
    show_to: Annotated[list[str], typer.Option(help="What To shows in place of the recipient.")] = [],  # noqa: B006
    show_cc: Annotated[list[str], typer.Option(help="What Cc shows.")] = [],  # noqa: B006
    unsubscribe_url: Annotated[str, typer.Option(help="One-click unsubscribe; may hold {{ placeholders }}.")] = "",
    at: Annotated[str, typer.Option(help='When: an ISO time, or "2h" from now. Default: now.')] = "",
    key: Annotated[str, typer.Option(envvar="KANNON_KEY", help="API key. Default: one made by the admin token.")] = "",
    domain: Annotated[str, typer.Option(help="The domain of the key. Default: the sender's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show one mail and send nothing.")] = False,
) -> None:
    """Send mail."""
    if (html is None) == (not template):
        raise typer.BadParameter("give either --html or --template")
    alias, address = parseaddr(sender)
    domain = domain or address.rpartition("@")[2]
    everyone = [Recipient(email=each) for each in to] + (read_recipients(recipients) if recipients else [])
    if not everyone:
        raise typer.BadParameter("give --to or --recipients")
    request: SendRequest = SendHTMLReq(html=read_text(html)) if html else SendTemplateReq(template_id=template)
    request.sender.CopyFrom(Sender(email=address, alias=alias))
    request.subject = subject
    request.global_fields.update(_fields(field))
    request.attachments.extend(_attachment(path) for path in attach)
    if show_to or show_cc:
        request.headers.CopyFrom(Headers(to=show_to, cc=show_cc))
    if unsubscribe_url:
        request.one_click_unsubscribe.CopyFrom(OneClickUnsubscribe(url_template=unsubscribe_url))
    if at:
        _schedule(request, parse_moment(at, datetime.now(UTC), "--at", ahead=True))
    if dry_run:
        request.recipients.extend(everyone[:1])
        text = request.html if isinstance(request, SendHTMLReq) else (await session.admin.find_template(template)).html
        session.output.lines(preview := render_preview(request, text, domain), {"preview": preview})
        return
    async with _tenant(session, domain, key) as client:
        answers = await _send_all(client, request, everyone)
    _report(session, answers)


async def _send_all(client: Client, request: SendRequest, everyone: list[Recipient]) -> list[SendRes]:
    answers = []
    with _progress(len(everyone)) as advance:
        for start in range(0, len(everyone), BATCH):
            part = everyone[start : start + BATCH]
            del request.recipients[:]
            request.recipients.extend(part)
            answers.append(await _send(client, request))
            advance(len(part))
    return answers


async def _send(client: Client, request: SendRequest) -> SendRes:
    key = secrets.token_urlsafe(24)
    for attempt in range(1, _TRIES):
        try:
            return await client.send(request, idempotency_key=key)
        except Unavailable:
            await anyio.sleep(2 ** (attempt - 1))
    return await client.send(request, idempotency_key=key)


@asynccontextmanager
async def _tenant(session: Session, domain: str, key: str) -> AsyncIterator[Client]:
    if key:
        yield session.tenant(domain, key)
        return
    made, secret = await session.admin.create_api_key(domain, "kannon send", expires_at=datetime.now(UTC) + _KEY_LIFE)
    try:
        yield session.tenant(domain, secret)
    finally:
        with anyio.move_on_after(5, shield=True):
            await session.admin.deactivate_api_key(domain, made.id)


def _report(session: Session, answers: list[SendRes]) -> None:
    accepted = sum(answer.accepted_count for answer in answers)
    rejected = [each for answer in answers for each in answer.rejected_recipients]
    if session.output.as_json:
        session.output.json(answers)
    else:
        print(f"accepted {accepted}, rejected {len(rejected)}: {', '.join(a.message_id for a in answers)}")
        for each in rejected:
            print(f"  {each.email}: {each.reason}")
    if not accepted:
        raise typer.Exit(1)


def _fields(pairs: list[str]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter("NAME=VALUE is needed", param_hint="--field")
        fields[name] = value
    return fields


def _attachment(path: Path) -> Attachment:
    try:
        return Attachment(filename=path.name, content=path.read_bytes())
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None


def _schedule(request: SendRequest, at: datetime) -> None:
    value = Timestamp()
    value.FromDatetime(at)
    request.scheduled_time.CopyFrom(value)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where someone looks at it and there is more than one call to wait for."""
    if total <= BATCH or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("sending", total=total)
        yield lambda done: progress.advance(task, done)
