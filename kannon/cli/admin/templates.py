"""`kannon templates`: creates, updates, lists, shows and deletes the HTML templates of a domain.

Also their versions, and what is to know before one is sent: a preview, what is wrong with it, a test mail.
"""

from email.utils import parseaddr
from pathlib import Path
from typing import Annotated

import typer

from kannon.cli.admin.recipients import pairs, read_data, read_text
from kannon.cli.completion import complete_domain, complete_template
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Total, printable
from kannon.cli.table import prose
from kannon.errors import OperatorError
from kannon.pb.admin.v1.templates_pb2 import TemplateSample
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender

app = typer.Typer(help="Templates of a domain.", no_args_is_help=True, add_completion=False)

_PAGE = 1000

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
TemplateId = Annotated[str, typer.Argument(metavar="TEMPLATE_ID", show_default=False, autocompletion=complete_template)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="An HTML file; - is standard input.", show_default=False)]
OptionalId = Annotated[
    str, typer.Argument(metavar="[TEMPLATE_ID]", show_default=False, autocompletion=complete_template)
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", help="An HTML file in place of TEMPLATE_ID; - is standard input.", show_default=False),
]
DomainOption = Annotated[
    str, typer.Option("--domain", help="Of --html.", show_default=False, autocompletion=complete_domain)
]
EngineOption = Annotated[str, typer.Option("--engine", help="Of --html: plain or jinja.", show_default=False)]
SubjectOption = Annotated[str, typer.Option("--subject", help="A subject, in the template's engine.")]
TextOption = Annotated[Path | None, typer.Option("--text", help="A file with the text part.", show_default=False)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="A JSON object for a jinja template; - is standard input.", show_default=False),
]
FieldOption = Annotated[list[str], typer.Option("--field", help="NAME=VALUE; may be repeated.")]


@client_command(app, "create")
async def create(
    session: Session,
    domain: Domain,
    file: File,
    title: Annotated[str, typer.Option(help="A title for people.")] = "",
    engine: Annotated[str, typer.Option(help="plain, or jinja: with conditions, loops and filters.")] = "plain",
) -> None:
    """Store a template and print its id."""
    template = await session.admin.create_template(domain, html=read_text(file), title=title, engine=engine)
    session.output.lines(template.template_id, template)
    session.output.next(
        f"kannon send --from you@{domain} --subject SUBJECT --template {template.template_id} --to ADDRESS"
    )


@client_command(app, "update")
async def update(
    session: Session,
    template_id: TemplateId,
    file: File,
    title: Annotated[str | None, typer.Option(help="A new title. Default: unchanged.", show_default=False)] = None,
) -> None:
    """Replace a template's HTML: the next version. Batches keep the version that they were accepted with."""
    html = read_text(file)
    if title is None:
        title = (await session.admin.find_template(template_id)).title
    template = await session.admin.update_template(template_id, html=html, title=title)
    session.output.lines(f"{template.template_id} is updated", template)
    session.output.next(f"kannon templates show {template.template_id}")


@client_command(app, "list")
async def list_(session: Session, domain: Domain) -> None:
    """List the templates of a domain, oldest first."""
    templates, total = await session.admin.list_templates(domain, take=_PAGE)
    while len(templates) < total:
        page, total = await session.admin.list_templates(domain, skip=len(templates), take=_PAGE)
        if not page:
            break
        templates += page
    rows = [[t.template_id, t.title, f"{len(t.html.encode())} B"] for t in templates]
    document = {"templates": templates, "total": total}
    session.output.table(["id", prose("title"), "size"], rows, document, Total("template", "templates", total))
    if not rows:
        session.output.next(f"kannon templates create {domain} FILE")


@client_command(app, "show")
async def show(
    session: Session,
    template_id: TemplateId,
    version: Annotated[int, typer.Option(help="A former version. Default: the current one.", show_default=False)] = 0,
) -> None:
    """Print a template's HTML."""
    if version:
        former = await session.admin.find_template_version(template_id, version)
        session.output.lines(former.html, former)
        return
    template = await session.admin.find_template(template_id)
    session.output.lines(template.html, template)


@client_command(app, "delete")
async def delete(session: Session, template_id: TemplateId) -> None:
    """Delete a template. Refused while waiting mail needs it."""
    template = await session.admin.delete_template(template_id)
    session.output.lines(f"{template.template_id} is deleted", template)


@client_command(app, "versions")
async def versions(session: Session, template_id: TemplateId) -> None:
    """List the versions of a template, the newest first. Each save is one; a batch keeps its own."""
    found = await session.admin.list_template_versions(template_id)
    rows = [[str(v.version), session.output.time(v.saved_at), v.title, f"{v.bytes} B"] for v in found]
    session.output.table(["version", "saved", prose("title"), "size"], rows, {"versions": found})
    if len(found) > 1:
        session.output.next(
            f"kannon templates show {template_id} --version {found[1].version}",
            f"kannon templates restore {template_id} {found[1].version}",
        )


@client_command(app, "restore")
async def restore(
    session: Session,
    template_id: TemplateId,
    version: Annotated[int, typer.Argument(metavar="VERSION", show_default=False)],
) -> None:
    """Save a former version again, as the next one."""
    saved = await session.admin.restore_template(template_id, version)
    session.output.lines(f"version {version} of {template_id} is now version {saved.version}", saved)


@client_command(app, "preview")
async def preview(
    session: Session,
    template_id: OptionalId = "",
    html: HtmlOption = None,
    domain: DomainOption = "",
    engine: EngineOption = "",
    version: Annotated[int, typer.Option(help="Of the template. Default: the current one.", show_default=False)] = 0,
    subject: SubjectOption = "",
    text: TextOption = None,
    data: DataOption = None,
    field: FieldOption = [],  # noqa: B006
) -> None:
    """Show what a recipient would get: subject, size, links, missing values, text and HTML. Sends nothing."""
    sample = _sample(template_id, html, domain, engine, subject, text, data, field, version)
    found = await session.admin.preview_template(sample)
    rows = [("Subject", found.subject), ("Size", f"{found.bytes} B")]
    rows += [("Link", link) for link in found.links]
    rows += [("Missing", name) for name in found.missing_fields]
    shown = "\n".join(f"{name + ':':9}{printable(value)}" for name, value in rows)
    session.output.lines(f"{shown}\n\n--- text/plain\n{found.text}\n\n--- text/html\n{found.html}", found)
    if found.problem:
        raise OperatorError(f"the template cannot be rendered: {found.problem}")


@client_command(app, "lint")
async def lint(
    session: Session,
    template_id: OptionalId = "",
    html: HtmlOption = None,
    domain: DomainOption = "",
    engine: EngineOption = "",
    bulk: Annotated[bool, typer.Option("--bulk", help="Also demand a link to unsubscribe.")] = False,
    text: TextOption = None,
    data: DataOption = None,
    field: FieldOption = [],  # noqa: B006
) -> None:
    """Name what mailbox providers and readers have trouble with. Exit code 1 if there is something."""
    sample = _sample(template_id, html, domain, engine, "", text, data, field)
    found = await session.admin.lint_template(sample, bulk=bulk)
    session.output.table(["code", prose("finding")], [[f.code, f.message] for f in found], {"findings": found})
    if found:
        raise typer.Exit(1)


@client_command(app, "test")
async def send_test(
    session: Session,
    template_id: TemplateId,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", show_default=False)],
    sender: Annotated[str, typer.Option("--from", help="The sender. Default: test@ the template's domain.")] = "",
    subject: SubjectOption = "",
    text: TextOption = None,
    data: DataOption = None,
    field: FieldOption = [],  # noqa: B006
    key: Annotated[
        str, typer.Option(envvar="KANNON_KEY", help="API key. Default: the admin token authenticates the send.")
    ] = "",
) -> None:
    """Send a template to one address, as a real send does."""
    domain = template_id.rpartition("@")[2]
    alias, email = parseaddr(sender)
    request = SendTemplateReq(
        template_id=template_id,
        sender=Sender(email=email or f"test@{domain}", alias=alias),
        subject=subject or "Test",
        text=read_text(text) if text is not None else "",
        recipients=[Recipient(email=address)],
        global_fields=pairs(field, "--field"),
        tag="template-test",
    )
    if data is not None:
        read_data(data, request.data)
    answer = await session.tenant(domain, key).send(request)
    for rejected in answer.rejected_recipients:
        raise OperatorError(f"{rejected.email}: {rejected.reason}")
    session.output.lines(f"accepted: {answer.message_id}", answer)
    session.output.next(f"kannon queue why {answer.message_id} {address}")


def _sample(
    template_id: str,
    html: Path | None,
    domain: str,
    engine: str,
    subject: str,
    text: Path | None,
    data: Path | None,
    field: list[str],
    version: int = 0,
) -> TemplateSample:
    if bool(template_id) == (html is not None):
        raise typer.BadParameter("give either TEMPLATE_ID or --html")
    if html is not None and not domain:
        raise typer.BadParameter("give --domain with --html")
    if template_id and (domain or engine):
        raise typer.BadParameter("a stored template has its own domain and engine")
    sample = TemplateSample(
        domain=domain or template_id.rpartition("@")[2],
        template_id=template_id,
        version=version,
        html=read_text(html) if html is not None else "",
        engine=engine,
        subject=subject,
        text=read_text(text) if text is not None else "",
        fields=pairs(field, "--field"),
    )
    if data is not None:
        read_data(data, sample.data)
    return sample
