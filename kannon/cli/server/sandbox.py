"""`kannon sandbox`: shows the mails that `sender.mode = "sandbox"` has written into data_dir/sandbox.

In: the configuration (for data_dir), and the folder's files. Out: tables, mails, JSON. The ID of a mail is the one that
`list` shows; its first characters are enough where they are unique. The commands connect to no server.
"""

import os
import sys
import tempfile
import webbrowser
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption, JsonOption, UtcOption
from kannon.cli.output import Output, Total, printable
from kannon.cli.server.sandbox_mail import SandboxMail, parse_sandbox_mail
from kannon.cli.table import prose
from kannon.errors import OperatorError
from kannon.maildir import StoredMail, delete_mails, list_mails

app = typer.Typer(help="The mails of sandbox mode.", no_args_is_help=True, add_completion=False)

POLL_SECONDS = 0.05
HEADER_BYTES = 64 << 10  # a list reads no more of each mail

IdArgument = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
HtmlOption = Annotated[bool, typer.Option("--html", help="Print the HTML part.")]
SourceOption = Annotated[bool, typer.Option("--source", help="Print the mail as it is, header and all parts.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    utc: UtcOption = False,
) -> None:
    """List the mails, the newest first."""
    with operator_errors():
        output, stored = Output(as_json, utc), _list(_folder(config))
        mails = [mail for each in stored[:limit] if (mail := _read(each, HEADER_BYTES))]
        rows = [[mail.id, output.time(mail.at), mail.sender, mail.recipient, mail.subject] for mail in mails]
        columns = ["id", "time", prose("from"), "to", prose("subject")]
        total = Total("mail", "mails", len(stored))
        output.table(columns, rows, [mail.summary() for mail in mails], total)
        if mails:
            output.next(f"kannon sandbox show {mails[0].id}")


@app.command("show")
def show(
    mail_id: IdArgument,
    html: HtmlOption = False,
    source: SourceOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a mail: its header and its text, decoded."""
    with operator_errors():
        _print(_find(_folder(config), mail_id), html=html, source=source, as_json=as_json)


@app.command("open")
def open_(mail_id: IdArgument, config: ConfigOption = None) -> None:
    """Write the HTML part to a temporary file, print its path, and open it in a browser if there is one."""
    with operator_errors():
        mail = _find(_folder(config), mail_id)
        if not mail.html:
            raise OperatorError(f"{mail.id} has no HTML part: see kannon sandbox show {mail.id}")
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix=f"kannon-{mail.id}-", suffix=".html", delete=False
        ) as file:
            file.write(mail.html)
        print(file.name, flush=True)
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
            webbrowser.open(Path(file.name).as_uri())


@app.command("wait")
def wait(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", show_default=False)],
    subject: Annotated[str, typer.Option(help="Only a mail with this text in its subject.")] = "",
    timeout: Annotated[str, typer.Option(help='How long to wait, such as "30s".')] = "30s",
    html: HtmlOption = False,
    source: SourceOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait for a mail to ADDRESS, which may be there already, and show it. Exit code 1: none came in time."""
    seconds = _seconds(timeout)
    with operator_errors():
        mail = _wait(_folder(config), address, subject, seconds)
        if mail is None:
            about = f' with "{subject}" in its subject' if subject else ""
            raise OperatorError(f"no mail to {address}{about} within {timeout}")
        _print(mail, html=html, source=source, as_json=as_json)


@app.command("clear")
def clear(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Delete all mails."""
    with operator_errors():
        folder = _folder(config)
        _list(folder)
        count = delete_mails(folder)
        Output(as_json).lines(f"{count} mails deleted", {"count": count})


def _folder(config: Path | None) -> Path:
    # Late import: the other commands start faster without it.
    from kannon.config import load_config

    return load_config(config).data_dir.expanduser() / "sandbox"


def _list(folder: Path) -> list[StoredMail]:
    try:
        return list_mails(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise OperatorError(f'{folder}: no sandbox here: kannon serve with sender.mode = "sandbox" makes it') from None


def _read(stored: StoredMail, size: int = -1) -> SandboxMail | None:
    """None: the mail was deleted since the folder was listed."""
    try:
        with stored.path.open("rb") as file:
            return parse_sandbox_mail(stored.id, stored.at, file.read(size))
    except FileNotFoundError:
        return None


def _find(folder: Path, mail_id: str) -> SandboxMail:
    found = [each for each in _list(folder) if mail_id and each.id.startswith(mail_id)]
    mail = _read(found[0]) if len(found) == 1 else None
    if mail is None:
        problem = f"{len(found)} mails begin so" if len(found) > 1 else "no such mail: see kannon sandbox list"
        raise OperatorError(f"{mail_id}: {problem}")
    return mail


def _wait(folder: Path, address: str, subject: str, seconds: float) -> SandboxMail | None:
    """The newest of those that match. Each file is read once."""
    deadline = monotonic() + seconds
    seen: set[str] = set()
    while True:
        for stored in _list(folder):
            if stored.id in seen:
                continue
            seen.add(stored.id)
            mail = _read(stored)
            if mail and mail.is_to(address) and subject.lower() in mail.subject.lower():
                return mail
        if monotonic() >= deadline:
            return None
        sleep(POLL_SECONDS)


def _seconds(text: str) -> float:
    from kannon.config import parse_duration

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None
    return span.total_seconds() if isinstance(span, timedelta) else 0.0


def _print(mail: SandboxMail, *, html: bool, source: bool, as_json: bool) -> None:
    if as_json:
        Output(as_json).json(mail.document())
    elif source:
        sys.stdout.flush()
        sys.stdout.buffer.write(mail.source)
    elif html:
        print(mail.html)
    else:
        for name, value in mail.headers:
            print(printable(f"{name}: {value}"))
        print()
        print("\n".join(printable(line) for line in mail.text.splitlines()))
        for name in mail.attachments:
            print(printable(f"[attachment: {name}]"))
