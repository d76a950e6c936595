"""`kannon templates`: creates, updates, lists, shows and deletes the HTML templates of a domain."""

from pathlib import Path
from typing import Annotated

import typer

from kannon.cli.admin.recipients import read_text
from kannon.cli.completion import complete_domain, complete_template
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Total
from kannon.cli.table import prose

app = typer.Typer(help="Templates of a domain.", no_args_is_help=True, add_completion=False)

_PAGE = 1000

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
TemplateId = Annotated[str, typer.Argument(metavar="TEMPLATE_ID", show_default=False, autocompletion=complete_template)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="An HTML file; - is standard input.", show_default=False)]


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
    """Replace a template's HTML. Mail that is not built yet uses the new HTML."""
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
async def show(session: Session, template_id: TemplateId) -> None:
    """Print a template's HTML."""
    template = await session.admin.find_template(template_id)
    session.output.lines(template.html, template)


@client_command(app, "delete")
async def delete(session: Session, template_id: TemplateId) -> None:
    """Delete a template. Refused while waiting mail needs it."""
    template = await session.admin.delete_template(template_id)
    session.output.lines(f"{template.template_id} is deleted", template)
