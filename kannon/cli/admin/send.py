"""`kannon send`: sends an HTML file or a template to recipients.

In: files and options. Out: one batch per 10,000 recipients. Each call has its own idempotency key, so that a retry
after a lost answer does not send twice. Without --key the admin token authenticates the calls.
"""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated

import anyio
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.cli.admin.preview import render_preview
from kannon.cli.admin.recipients import read_recipients, read_text
from kannon.cli.connection import Session, client_command
from kannon.cli.timeparse import parse_time
from kannon.client import CallRefused, Client
from kannon.errors import OperatorError, Unavailable
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import Attachment, SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Headers, OneClickUnsubscribe, Recipient, Sender

app = typer.Typer(add_completion=False)

BATCH = 10_000
"""Recipients of one call: about a megabyte, about half a second."""
_TRIES = 4

SendRequest = SendHTMLReq | SendTemplateReq


@client_command(app, "send")
async def send(
    session: Session,
    sender: Annotated[str, typer.Option("--from", help='The sender: "Name <address>".', show_default=False)],
    subject: Annotated[str, typer.Option(help="The subject; may contain {{ placeholders }}.", show_default=False)],
    html: Annotated[Path | None, typer.Option(help="An HTML file; - is standard input.", show_default=False)] = None,
    template: Annotated[str, typer.Option(help="A template id, instead of --html.")] = "",
    to: Annotated[list[str], typer.Option(help="A recipient; may be repeated.", show_default=False)] = [],  # noqa: B006
    recipients: Annotated[
        Path | None, typer.Option(help="A CSV or JSON lines file with email and fields; - is standard input.")
    ] = None,
    field: Annotated[list[str], typer.Option(help="NAME=VALUE for all recipients; may be repeated.")] = [],  # noqa: B006
    attach: Annotated[list[Path], typer.Option(help="A file to attach; may be repeated.")] = [],  # noqa: B006
    show_to: Annotated[list[str], typer.Option(help="The To header, instead of the recipient; may be repeated.")] = [],  # noqa: B006
    show_cc: Annotated[list[str], typer.Option(help="The Cc header; may be repeated.")] = [],  # noqa: B006
    reply_to: Annotated[list[str], typer.Option(help="Where replies go, instead of the sender; may be repeated.")] = [],  # noqa: B006
    unsubscribe_url: Annotated[
        str, typer.Option(help="One-click unsubscribe URL; may contain {{ placeholders }}.")
    ] = "",
    at: Annotated[str, typer.Option(help='When to send: "2h" from now, or an ISO time. Default: now.')] = "",
    key: Annotated[
        str, typer.Option(envvar="KANNON_KEY", help="API key. Default: the admin token authenticates the send.")
    ] = "",
    domain: Annotated[str, typer.Option(help="The domain to send as. Default: the domain of --from.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the first mail and send nothing.")] = False,
) -> None:
    """Send mail."""
    if (html is None) == (not template):
        raise typer.BadParameter("give either --html or --template")
    alias, address = parseaddr(sender)
    if not all(address.rpartition("@")):
        raise typer.BadParameter(f'"{sender}" is not "Name <address>" or an address', param_hint="--from")
    option, domain = ("--domain", domain) if domain else ("--from", address.rpartition("@")[2])
    domain = _ascii_domain(domain, option)
    everyone = [Recipient(email=each) for each in to] + (read_recipients(recipients) if recipients else [])
    if not everyone:
        raise typer.BadParameter("give --to or --recipients")
    request: SendRequest = SendHTMLReq(html=read_text(html)) if html else SendTemplateReq(template_id=template)
    request.sender.CopyFrom(Sender(email=address, alias=alias))
    request.subject = subject
    request.global_fields.update(_fields(field))
    request.attachments.extend(_attachment(path) for path in attach)
    if show_to or show_cc or reply_to:
        request.headers.CopyFrom(Headers(to=show_to, cc=show_cc, reply_to=reply_to))
    if unsubscribe_url:
        request.one_click_unsubscribe.CopyFrom(OneClickUnsubscribe(url_template=unsubscribe_url))
    if at:
        _schedule(request, parse_time(at, datetime.now(UTC), "--at", ahead=True))
    if dry_run:
        request.recipients.extend(everyone[:1])
        text = request.html if isinstance(request, SendHTMLReq) else (await session.admin.find_template(template)).html
        session.output.lines(preview := render_preview(request, text, domain), {"preview": preview})
        return
    try:
        answers = await _send_all(session.tenant(domain, key), request, everyone)
    except CallRefused as error:
        if str(error).startswith("x-kannon-domain"):
            raise OperatorError(f'{option}: the server has no domain "{domain}"; see kannon domains add') from None
        raise
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


def _report(session: Session, answers: list[SendRes]) -> None:
    accepted = sum(answer.accepted_count for answer in answers)
    rejected = [each for answer in answers for each in answer.rejected_recipients]
    if session.output.as_json:
        session.output.json({"accepted_count": accepted, "rejected_count": len(rejected), "batches": answers})
    else:
        print(f"accepted {accepted}, rejected {len(rejected)}: {', '.join(a.message_id for a in answers)}")
        for each in rejected:
            print(f"  {each.email}: {each.reason}")
    if not accepted:
        raise typer.Exit(1)


def _ascii_domain(domain: str, option: str) -> str:
    """A header of a call can hold ASCII only."""
    if domain.isascii():
        return domain
    from kannon.mail.address import canonical_domain  # late: few sends need its libraries

    try:
        return canonical_domain(domain)
    except ValueError:
        raise typer.BadParameter(f'"{domain}" is not a domain', param_hint=option) from None


def _fields(pairs: list[str]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f'"{pair}" is not NAME=VALUE', param_hint="--field")
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
    """A progress bar on standard error, if that is a terminal and there is more than one call."""
    if total <= BATCH or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("sending", total=total)
        yield lambda done: progress.advance(task, done)
