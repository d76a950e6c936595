"""Mails written into a Maildir: whole, private, with names of their own, and no remains of a failure."""

import os
from pathlib import Path

import pytest

from kannon.maildir import make_maildir, write_mail


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
