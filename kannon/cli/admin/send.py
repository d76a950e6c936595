"""`kannon send`: sends an HTML file, a template, a text or a complete message to recipients.

In: files and options. Out: one batch per 10,000 recipients, or one of a complete message. Each call has its own
idempotency key, so that a retry after a lost answer does not send twice. Without --key the admin token authenticates
the calls. With --dry-run the server checks the same calls and stores nothing, so it accepts exactly what a send
accepts.
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

from kannon.cli.admin.preview import render_preview
from kannon.cli.admin.recipients import pairs, read_data, read_recipients, read_text
from kannon.cli.admin.send_raw import Labels, raw_request
from kannon.cli.completion import complete_domain, complete_template
from kannon.cli.connection import Session, client_command
from kannon.cli.output import printable
from kannon.cli.timeparse import parse_time
from kannon.client import CallRefused, Client
from kannon.errors import OperatorError, Unavailable
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import (
    Attachment,
    RejectedRecipient,
    SendHTMLReq,
    SendRes,
    SendTemplateReq,
)
from kannon.pb.mailer.types.mailer_types_pb2 import HeaderField, Headers, OneClickUnsubscribe, Recipient, Sender
from kannon.pb.mailer.v1.mailer_pb2 import SendRawRequest

app = typer.Typer(add_completion=False)

BATCH = 10_000
"""Recipients of one call: about a megabyte, about half a second."""
_TRIES = 4
_NO_PREVIEW = "(no preview: a template's HTML can be read with the admin token only)"

SendRequest = SendHTMLReq | SendTemplateReq


@client_command(app, "send")
async def send(
    session: Session,
    sender: Annotated[str, typer.Option("--from", help='The sender: "Name <address>".', show_default=False)] = "",
    subject: Annotated[str, typer.Option(help="The subject; may contain {{ placeholders }}.", show_default=False)] = "",
    html: Annotated[Path | None, typer.Option(help="An HTML file; - is standard input.", show_default=False)] = None,
    template: Annotated[
        str, typer.Option(help="A template id, instead of --html.", autocompletion=complete_template)
    ] = "",
    text: Annotated[
        Path | None,
        typer.Option(
            help="A file with the text part, alone or instead of the one made from the HTML.", show_default=False
        ),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="A complete message (.eml), instead of --html, --template and all that describes a mail; - is standard"
            " input.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[list[str], typer.Option(help="A recipient; may be repeated.", show_default=False)] = [],  # noqa: B006
    recipients: Annotated[
        Path | None, typer.Option(help="A CSV or JSON lines file with email and fields; - is standard input.")
    ] = None,
    field: Annotated[list[str], typer.Option(help="NAME=VALUE for all recipients; may be repeated.")] = [],  # noqa: B006
    attach: Annotated[list[Path], typer.Option(help="A file to attach; may be repeated.")] = [],  # noqa: B006
    show_to: Annotated[list[str], typer.Option(help="The To header, instead of the recipient; may be repeated.")] = [],  # noqa: B006
    show_cc: Annotated[list[str], typer.Option(help="The Cc header; may be repeated.")] = [],  # noqa: B006
    reply_to: Annotated[list[str], typer.Option(help="Where replies go, instead of the sender; may be repeated.")] = [],  # noqa: B006
    bcc: Annotated[list[str], typer.Option(help="A further recipient, not shown; may be repeated.")] = [],  # noqa: B006
    header: Annotated[list[str], typer.Option(help='A further header field, "Name: value"; may be repeated.')] = [],  # noqa: B006
    require_tls: Annotated[
        bool, typer.Option("--require-tls", help="Only authenticated servers get the mail (REQUIRETLS).")
    ] = False,
    tag: Annotated[str, typer.Option(help="A tag, by which events are counted and lists filtered.")] = "",
    engine: Annotated[str, typer.Option(help="Of --html, --text and --subject: plain or jinja.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="A JSON object for a jinja template; - is standard input.", show_default=False)
    ] = None,
    metadata: Annotated[list[str], typer.Option(help="NAME=VALUE, repeated in every event; may be repeated.")] = [],  # noqa: B006
    one_click_unsubscribe: Annotated[
        bool, typer.Option(help="Add Kannon's own one-click unsubscribe link, which suppresses the address.")
    ] = False,
    unsubscribe_url: Annotated[
        str, typer.Option(help="One-click unsubscribe URL; may contain {{ placeholders }}.")
    ] = "",
    at: Annotated[str, typer.Option(help='When to send: "2h" from now, or an ISO time. Default: now.')] = "",
    key: Annotated[
        str, typer.Option(envvar="KANNON_KEY", help="API key. Default: the admin token authenticates the send.")
    ] = "",
    domain: Annotated[
        str, typer.Option(help="The domain to send as. Default: the domain of --from.", autocompletion=complete_domain)
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the server check the send, print the first mail, and send nothing.")
    ] = False,
) -> None:
    """Send mail."""
    labels = Labels(tag, pairs(metadata, "--metadata"))
    scheduled = parse_time(at, datetime.now(UTC), "--at", ahead=True) if at else None
    if raw is not None:
        if sender or subject or html or template or text or recipients:
            raise typer.BadParameter("the message has its own sender, subject and text", param_hint="--raw")
        message, from_domain = raw_request(raw, to, labels, scheduled)
        message.validate_only, message.require_tls = dry_run, require_tls
        client = session.tenant(_ascii_domain(domain or from_domain, "--domain"), key)
        answers = [await _send(client, message)]
        _report_check(session, answers, "") if dry_run else _report(session, answers)
        return
    if not sender or not subject.strip():
        raise typer.BadParameter("give --from and --subject")
    if (html is None) == (not template) and not (text and html is None and not template):
        raise typer.BadParameter("give either --html or --template, or --text alone")
    alias, address = parseaddr(sender)
    if not all(address.rpartition("@")):
        raise typer.BadParameter(f'"{sender}" is not "Name <address>" or an address', param_hint="--from")
    option, domain = ("--domain", domain) if domain else ("--from", address.rpartition("@")[2])
    domain = _ascii_domain(domain, option)
    everyone = [Recipient(email=each) for each in to] + (read_recipients(recipients) if recipients else [])
    if not everyone:
        raise typer.BadParameter("give --to or --recipients")
    request: SendRequest = SendTemplateReq(template_id=template) if template else SendHTMLReq()
    if isinstance(request, SendHTMLReq) and html:
        request.html = read_text(html)
    if isinstance(request, SendHTMLReq):
        request.engine = engine
    elif engine:
        raise typer.BadParameter("a stored template has its own engine", param_hint="--engine")
    if data is not None:
        read_data(data, request.data)
    if text:
        request.text = read_text(text)
    request.tag = labels.tag
    request.require_tls = require_tls
    request.metadata.update(labels.metadata)
    request.sender.CopyFrom(Sender(email=address, alias=alias))
    request.subject = subject
    request.global_fields.update(pairs(field, "--field"))
    request.attachments.extend(_attachment(path) for path in attach)
    if show_to or show_cc or reply_to or bcc or header:
        fields = [_header_field(each) for each in header]
        request.headers.CopyFrom(Headers(to=show_to, cc=show_cc, reply_to=reply_to, bcc=bcc, fields=fields))
    if unsubscribe_url or one_click_unsubscribe:
        request.one_click_unsubscribe.CopyFrom(OneClickUnsubscribe(url_template=unsubscribe_url))
    if scheduled is not None:
        request.scheduled_time.FromDatetime(scheduled)
    request.validate_only = dry_run
    try:
        answers = await _send_all(session.tenant(domain, key), request, everyone)
    except CallRefused as error:
        if str(error).startswith("x-kannon-domain"):
            raise OperatorError(f'{option}: the server has no domain "{domain}"; see kannon domains add') from None
        raise
    if dry_run:
        _report_check(session, answers, await _preview(session, answers, request, everyone, domain))
    else:
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


async def _send(client: Client, request: SendRequest | SendRawRequest) -> SendRes:
    key = secrets.token_urlsafe(24)
    for attempt in range(1, _TRIES):
        try:
            return await client.send(request, idempotency_key=key)
        except Unavailable:
            await anyio.sleep(2 ** (attempt - 1))
    return await client.send(request, idempotency_key=key)


def _counts(answers: list[SendRes]) -> tuple[int, list[RejectedRecipient]]:
    rejected = [each for answer in answers for each in answer.rejected_recipients]
    return sum(answer.accepted_count for answer in answers), rejected


async def _preview(
    session: Session, answers: list[SendRes], request: SendRequest, everyone: list[Recipient], domain: str
) -> str:
    """The first mail that a send would make. Empty: it would make none."""
    accepted, rejected = _counts(answers)
    refused = {each.email for each in rejected if each.reason != "duplicate"}
    del request.recipients[:]
    request.recipients.extend([each for each in everyone if each.email not in refused][:1])
    if not accepted or not request.recipients:
        return ""
    template = await _template(session, request)
    return render_preview(request, *template, domain) if template is not None else _NO_PREVIEW


def _report_check(session: Session, answers: list[SendRes], preview: str) -> None:
    """The preview, then what the server accepts."""
    accepted, rejected = _counts(answers)
    if session.output.as_json:
        document = {"accepted_count": accepted, "rejected_count": len(rejected), "rejected_recipients": rejected}
        session.output.json({"preview": preview} | document)
    else:
        if preview:
            print(preview, end="\n\n")
        print(f"checked, nothing is sent: {accepted} accepted, {len(rejected)} rejected")
        _print_rejected(rejected)
    if not accepted:
        raise typer.Exit(1)


async def _template(session: Session, request: SendRequest) -> tuple[str, str] | None:
    """HTML and engine. None: a template, which the admin token alone can read."""
    if isinstance(request, SendHTMLReq):
        return request.html, request.engine
    try:
        template = await session.admin.find_template(request.template_id)
    except (OperatorError, CallRefused):
        return None
    return template.html, template.engine


def _print_rejected(rejected: list[RejectedRecipient]) -> None:
    for each in rejected:
        print(printable(f"  {each.email}: {each.reason}"))


def _report(session: Session, answers: list[SendRes]) -> None:
    accepted, rejected = _counts(answers)
    if session.output.as_json:
        session.output.json({"accepted_count": accepted, "rejected_count": len(rejected), "batches": answers})
    else:
        print(f"accepted {accepted}, rejected {len(rejected)}: {', '.join(a.message_id for a in answers)}")
        _print_rejected(rejected)
        if accepted:
            session.output.next(f"kannon batches show {answers[0].message_id}")
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


def _header_field(text: str) -> HeaderField:
    name, colon, value = text.partition(":")
    if not colon:
        raise typer.BadParameter(f'"{text}" is not "Name: value"', param_hint="--header")
    return HeaderField(name=name.strip(), value=value.strip())


def _attachment(path: Path) -> Attachment:
    try:
        return Attachment(filename=path.name, content=path.read_bytes())
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None


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
