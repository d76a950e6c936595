"""Mails in a Maildir: whole, private, with names of their own, listed newest first, and no remains of a failure."""

import os
from pathlib import Path

import pytest

from kannon.maildir import delete_mails, list_mails, make_maildir, write_mail


def test_each_mail_is_a_private_file_in_new(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    make_maildir(folder)
    make_maildir(folder)
    for number in range(3):
        write_mail(folder, b"Subject: %d\r\n\r\n" % number)
    files = sorted((folder / "new").iterdir(), key=lambda file: file.read_bytes())
    assert [file.read_bytes() for file in files] == [b"Subject: %d\r\n\r\n" % number for number in range(3)]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert list((folder / "tmp").iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_maildir(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_mail(tmp_path, b"x")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_mails_are_listed_newest_first_read_or_not(tmp_path: Path) -> None:
    make_maildir(tmp_path)
    for number in range(3):
        write_mail(tmp_path, b"%d" % number)
    (tmp_path / "new" / "of-another-program").write_bytes(b"x")
    middle = list_mails(tmp_path)[1]
    middle.path.rename(tmp_path / "cur" / f"{middle.path.name}:2,S")
    listed = list_mails(tmp_path)
    assert [mail.path.read_bytes() for mail in listed] == [b"2", b"1", b"0"]
    assert listed[1].id == middle.id
    assert delete_mails(tmp_path) == 3
    assert list_mails(tmp_path) == []
    assert (tmp_path / "new" / "of-another-program").exists()
