"""The `kannon` command itself: version, help texts, renamed commands, and errors of the system."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from kannon import __version__
from kannon.cli import COMMANDS, PANELS, RENAMED, app

NOBODY = 65534


def test_version_is_also_an_option() -> None:
    for arguments in (["--version"], ["version"]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.output) == (0, f"kannon {__version__}\n")


def test_a_renamed_command_is_not_listed_and_still_works() -> None:
    assert not RENAMED.keys() & COMMANDS.keys()
    shown = CliRunner().invoke(app, ["--help"])
    assert "dead-letters" in shown.stdout
    assert "parked" not in shown.stdout
    old, new = (CliRunner().invoke(app, [name, "list", "--help"]) for name in ("parked", "dead-letters"))
    assert (old.exit_code, new.exit_code) == (0, 0)
    assert old.stderr == "kannon: kannon parked is now kannon dead-letters; the old name will be removed\n"
    assert new.stderr == ""


def test_every_command_and_option_has_a_help_text() -> None:
    missing: list[str] = []

    def visit(name: str, command: Any, children: Iterable[str]) -> None:
        if not command.help:
            missing.append(name)
        options = [each for each in command.params if each.param_type_name == "option"]
        missing.extend(f"{name} --{option.name}" for option in options if not option.help)
        for child in children:
            found = command.get_command(None, child)
            visit(f"{name} {child}", found, list(getattr(found, "commands", ())))

    visit("kannon", typer.main.get_command(app), list(COMMANDS))
    assert missing == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("frob", "kannon: no such command 'frob' (see kannon --help)"),
        ("batches lst", "kannon batches: no such command 'lst'. Did you mean 'list'? (see kannon batches --help)"),
        ("send", "kannon send: give --from and --subject (see kannon send --help)"),
        ("send --from", "kannon send: option --from requires an argument (see kannon send --help)"),
        ("queue why", "kannon queue why: missing argument ID|MESSAGE_ID (see kannon queue why --help)"),
        ("queue cancel x", "kannon queue cancel: ID: not a number (see kannon queue cancel --help)"),
        ("queue list --limit 0", "kannon queue list: --limit: must be 1 or more (see kannon queue list --help)"),
        ("queue list --limit x", "kannon queue list: --limit: not a number (see kannon queue list --help)"),
        (
            "stats x --since never",
            'kannon stats: --since: give a duration such as "2h" or an ISO time (see kannon stats --help)',
        ),
        (
            "queue list --state x",
            "kannon queue list: --state: 'x' is not one of 'to_validate', 'validating', 'scheduled', 'sending'"
            " (see kannon queue list --help)",
        ),
        ("sandbox wait a@b.de --timeout x", None),
        ("domains dns a.de --zone --verify", None),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_option(arguments: str, line: str | None) -> None:
    result = CliRunner().invoke(app, arguments.split(), env={"KANNON_SERVER": "127.0.0.1:1", "KANNON_TOKEN": "x"})
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert line is None or result.stderr == line + "\n"


def test_every_command_stands_in_a_panel_of_the_help() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert {name for names in PANELS.values() for name in names} == COMMANDS.keys()
    for panel, names in PANELS.items():
        section = shown.partition(f" {panel} ")[2].partition("╰")[0]
        assert all(f" {name} " in section for name in names), panel
    options = CliRunner().invoke(app, ["queue", "list", "--help"]).stdout.partition("Common options")[2]
    assert "--server" in options
    assert "--state" not in options


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root can read every file, so these tests act as another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("command", ["backup {}/file", "restore {}/file", "sandbox list"])
def test_a_data_dir_of_another_user_is_reported_in_one_line(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command imports these modules late, and the other user may be unable to read them.
    import kannon.cli.server.database
    import kannon.cli.server.sandbox
    import kannon.db.restore  # noqa: F401

    data = tmp_path / "data"
    (data / "postgres").mkdir(parents=True)
    data.chmod(0)
    monkeypatch.setenv("KANNON_DATA_DIR", str(data))
    monkeypatch.chdir("/")
    with unprivileged():
        result = CliRunner().invoke(app, command.format(tmp_path).split())
    data.chmod(0o700)
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.output.count("\n")) == (77, 1)
    assert "Permission denied" in result.output
