"""`kannon open`: opens the pages in a browser, logged in."""

import sys
import webbrowser
from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command

app = typer.Typer(add_completion=False)


@client_command(app, "open")
async def open_(
    session: Session,
    print_: Annotated[bool, typer.Option("--print", help="Print the link instead of opening a browser.")] = False,
) -> None:
    """Open the pages in a browser, logged in. The link works once, within a minute."""
    link = await session.admin.create_login_link()
    url = session.endpoint.url() + link.path
    if print_ or session.output.as_json:
        session.output.lines(url, {"url": url})
    elif webbrowser.open(url):
        print("kannon: the browser opens the pages", file=sys.stderr)
    else:
        print("kannon: no browser here; open this within a minute:", file=sys.stderr)
        session.output.lines(url, {"url": url})
