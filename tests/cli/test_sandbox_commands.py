"""`kannon sandbox`: mails of the folder listed, shown, opened, awaited and deleted, without a server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kannon.cli import app
from kannon.cli.server import sandbox
from kannon.maildir import list_mails, make_maildir, write_mail

NEW_MAIL = (
    "Return-Path: <b-1@example.com>\r\nDelivered-To: {to}\r\n"
    "From: =?utf-8?q?Caf=C3=A9?= <news@example.com>\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "Gr=C3=BC=C3=9Fe\x1b[2J\r\n"
    "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello {to}</p>\r\n--b--\r\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KANNON_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    make_maildir(tmp_path / "sandbox")
    return tmp_path / "sandbox"


def put(folder: Path, to: str, subject: str = "Hello") -> str:
    write_mail(folder, NEW_MAIL.format(to=to, subject=subject).encode())
    return list_mails(folder)[0].id


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sandbox", *arguments])


def test_mails_are_listed_newest_first(folder: Path) -> None:
    first, second = put(folder, "a@dest.test"), put(folder, "b@dest.test", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    rows = [line.split("\t") for line in run("list").stdout.splitlines()]
    assert [[row[0], *row[2:]] for row in rows] == [
        [second, "Café <news@example.com>", "b@dest.test", "Grüße"],
        [first, "Café <news@example.com>", "a@dest.test", "Hello"],
    ]
    [newest] = json.loads(run("list", "--limit", "1", "--json").stdout)
    assert (newest["id"], newest["to"], newest["subject"]) == (second, "b@dest.test", "Grüße")


def test_a_mail_is_shown_decoded_and_cannot_control_the_terminal(folder: Path) -> None:
    mail_id = put(folder, "a@dest.test")
    shown = run("show", mail_id[:8]).stdout
    assert "From: Café <news@example.com>\n" in shown
    assert shown.endswith("\n\nGrüße\\x1b[2J\n")
    assert run("show", mail_id, "--html").stdout.strip() == "<p>Hello a@dest.test</p>"
    assert run("show", mail_id, "--source").stdout_bytes == NEW_MAIL.format(to="a@dest.test", subject="Hello").encode()
    document = json.loads(run("show", mail_id, "--json").stdout)
    assert (document["html"].strip(), document["attachments"]) == ("<p>Hello a@dest.test</p>", [])
    assert {"name": "Subject", "value": "Hello"} in document["headers"]


def test_the_html_part_is_written_to_a_file(folder: Path) -> None:
    path = Path(run("open", put(folder, "a@dest.test")).stdout.strip())
    try:
        assert path.read_text().strip() == "<p>Hello a@dest.test</p>"
    finally:
        path.unlink()


def test_wait_finds_a_mail_that_is_there_already(folder: Path) -> None:
    put(folder, "a@dest.test", "Your code")
    put(folder, "a@dest.test", "Welcome")
    put(folder, "b@dest.test", "Your code")
    found = json.loads(run("wait", "A@Dest.test", "--subject", "code", "--json").stdout)
    assert (found["to"], found["subject"]) == ("a@dest.test", "Your code")


def test_wait_finds_a_mail_that_comes_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "b@dest.test")
    monkeypatch.setattr(sandbox, "sleep", lambda _: put(folder, "a@dest.test", "Later"))
    result = run("wait", "a@dest.test")
    assert (result.exit_code, "Subject: Later" in result.stdout) == (0, True)


def test_wait_ends_with_one_line_when_no_mail_comes(folder: Path) -> None:
    put(folder, "a@dest.test")
    result = run("wait", "a@dest.test", "--subject", "code", "--timeout", "1ms")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'kannon: no mail to a@dest.test with "code" in its subject within 1ms\n'
    assert run("wait", "a@dest.test", "--timeout", "soon").exit_code == 2


def test_clear_deletes_all_mails(folder: Path) -> None:
    put(folder, "a@dest.test")
    put(folder, "b@dest.test")
    assert run("clear").stdout == "2 mails deleted\n"
    assert run("list").stdout == ""


def test_a_mail_without_html_cannot_be_opened(folder: Path) -> None:
    write_mail(folder, b"Delivered-To: a@dest.test\r\nSubject: plain \xff\r\n\r\nonly text \xff\r\n")
    [mail] = list_mails(folder)
    assert "only text" in run("show", mail.id).stdout
    assert "has no HTML part" in run("open", mail.id).stderr


@pytest.mark.parametrize("command", [["list"], ["show", "1"], ["open", "1"], ["wait", "a@dest.test"], ["clear"]])
def test_without_a_sandbox_a_line_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KANNON_DATA_DIR", str(tmp_path))
    result = run(*command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert 'no sandbox here: kannon serve with sender.mode = "sandbox" makes it' in result.stderr


@pytest.mark.parametrize("mail_id", ["0123", "", "../new"])
def test_an_unknown_id_is_one_line(folder: Path, mail_id: str) -> None:
    put(folder, "a@dest.test")
    for command in ("show", "open"):
        result = run(command, mail_id)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "no such mail: see kannon sandbox list" in result.stderr
