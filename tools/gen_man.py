"""Generates docs/man/kannon.1 from the command line and docs/man/kannon.toml.5 from kannon.toml.example.

In: the code. Out: two manual pages. With --check the script writes nothing and exits 1 if a page is out of date. A test
compares kannon.toml.example with the configuration's code, so both pages describe the program.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kannon import __version__  # noqa: E402  # the tree above is not on the path of a script
from kannon.cli import COMMANDS, app  # noqa: E402

MAN = ROOT / "docs" / "man"
SHARED = 5  # an option of at least this many commands is explained once

FILES = """\
.SH FILES
.TP
.I kannon.toml, /etc/kannon/kannon.toml
The configuration: the first of the two that exists. See
.BR kannon.toml (5).
.TP
.I /etc/kannon/credentials/
The secrets of the service, one file for each, named after its key in
.BR kannon.toml (5).
.TP
.I data_dir/postgres, data_dir/nats
The embedded servers' data.
.TP
.I data_dir/backups
Copies of the database from before a migration or restore; the last three.
.TP
.I data_dir/runtime
The embedded servers' programs, unpacked from the executable.
.TP
.I data_dir/admin_token
The token of the admin API, generated at the first start.
.SH ENVIRONMENT
.TP
.B KANNON_\\fISECTION\\fB__\\fIKEY\\fR
Overrides a key of the configuration:
.B KANNON_SENDER__HOSTNAME
is
.IR sender.hostname .
Lists are JSON.
.TP
.B KANNON_CONFIG, KANNON_SERVER, KANNON_TOKEN, KANNON_CA, KANNON_KEY
Stand for
.BR --config ", " --server ", " --token ", " --ca " and " --key .
.TP
.B KANNON_RUNTIME_DIR
The directory into which the single executable unpacks itself; by default
.I /var/cache/kannon
for root and
.I ~/.cache/kannon
for others.
.TP
.B CREDENTIALS_DIRECTORY
Files in it named
.BI kannon_ section . key
are secrets of the configuration (systemd, containers).
.SH EXIT STATUS
.TP
.B 0
Done; for
.BR serve :
stopped on request.
.TP
.B 1
Failed; one line on standard error gives the reason.
.TP
.B 2
Wrong usage.
.TP
.B 69
The server, or a server that it needs, is unavailable.
.TP
.B 77
Wrong or missing credentials, or no permission to read a file.
.TP
.B 78
The configuration is wrong; one line for each problem.
.SH SEE ALSO
.BR kannon.toml (5)
"""


def command_page() -> str:
    lines = [f'.TH KANNON 1 "" "kannon {__version__}" "Kannon"', ".SH NAME", "kannon \\- a self-hosted mail sender"]
    lines += [".SH SYNOPSIS", ".B kannon", "\\fIcommand\\fR [\\fIargument\\fR ...]", ".SH DESCRIPTION"]
    lines += [_escape(str(app.info.help)), ".PP", "Every command describes itself with", ".BR --help ."]
    leaves = list(_leaves("kannon", typer.main.get_command(app), list(COMMANDS)))
    uses = Counter(option for _, command in leaves for option in map(_option, _options(command)))
    lines += [".SH OPTIONS", ".TP", "\\fB\\-\\-version\\fR", "Print the version and exit.", ".PP"]
    lines += ["Options that many commands have:"]
    lines += [line for option, count in uses.items() if count >= SHARED for line in option]
    lines += [".SH COMMANDS"]
    for name, command in leaves:
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        words = [f"\\fI{_escape(each.metavar or each.name.upper())}\\fR" for each in arguments]
        lines += [f".SS {_escape(name)} {' '.join(words)}".rstrip(), _text(command.help)]
        for argument, word in zip(arguments, words, strict=True):
            lines += [".TP", word, _text(argument.help)] if argument.help else []
        lines += [line for option in map(_option, _options(command)) if uses[option] < SHARED for line in option]
    return "\n".join(lines) + "\n" + FILES


def _leaves(name: str, command: Any, children: list[str]) -> Iterator[tuple[str, Any]]:
    """Every command that is not a group, with its full name. The root group loads lazily, so `children` are given."""
    for child in children:
        found = command.get_command(None, child)
        below = list(getattr(found, "commands", ()))
        if below:
            yield from _leaves(f"{name} {child}", found, below)
        else:
            yield f"{name} {child}", found


def _options(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "option" and each.name != "help"]


def _option(option: Any) -> tuple[str, str, str]:
    flags = ", ".join(f"\\fB{_escape(flag)}\\fR" for flag in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" \\fI{_escape(option.metavar or option.name)}\\fR"
    return ".TP", flags + value, _text(option.help)


def config_page() -> str:
    lines = [f'.TH KANNON.TOML 5 "" "kannon {__version__}" "Kannon"', ".SH NAME"]
    lines += ["kannon.toml \\- configuration of kannon", ".SH DESCRIPTION"]
    example = (ROOT / "kannon.toml.example").read_text(encoding="utf-8")
    head, _, rest = example.partition("\n\n")
    lines += [_text(re.sub(r"^# ?", "", head, flags=re.M).replace("\n", " ")), ".PP"]
    lines += [
        "A secret can be in a file of its own, named after its key, in the service's",
        ".IR /etc/kannon/credentials ;",
    ]
    lines += ["such a file, and a variable, override this file. Each key is shown with its default."]
    lines += [".SH KEYS"]
    section, comments = "", list[str]()
    for line in rest.splitlines():
        if match := re.fullmatch(r"\[([a-z_]+)\]", line):
            section, comments = match[1], []
            lines.append(f".SS [{section}]")
        elif line.startswith("#"):
            comments.append(line.removeprefix("#").removeprefix(" "))
        elif match := re.fullmatch(r"([a-z_]+) = (.*)", line):
            lines += [".TP", f"\\fB{_escape(match[1])}\\fR = {_escape(match[2])}"]
            lines += _key_text(comments)
            comments = []
    lines += [".SH SEE ALSO", ".BR kannon (1)"]
    return "\n".join(lines) + "\n"


def _key_text(comments: list[str]) -> Iterator[str]:
    """Prose is filled; an example of a table keeps its lines."""
    start = next((n for n, line in enumerate(comments) if line.startswith("[[")), len(comments))
    yield _text(" ".join(comments[:start]) or "See the key above.")
    if comments[start:]:
        yield from (".IP", ".nf", *(_escape(line) for line in comments[start:]), ".fi")


def _text(text: str | None) -> str:
    return _escape(" ".join((text or "").split()))


def _escape(text: str) -> str:
    """For roff: escapes backslashes, hyphens and the beginning of lines that look like requests."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("→", "->")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main() -> None:
    pages = {MAN / "kannon.1": command_page(), MAN / "kannon.toml.5": config_page()}
    if "--check" in sys.argv:
        old = [file.name for file, text in pages.items() if not file.exists() or file.read_text() != text]
        if old:
            sys.exit(f"{', '.join(old)}: out of date; run make man")
        return
    MAN.mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        file.write_text(text)


if __name__ == "__main__":
    main()
