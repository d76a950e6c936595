"""Writes mails into a Maildir (maildir(5)): under `tmp`, then moved to `new`, so that a reader sees whole mails only.

In: a folder and a mail's bytes. Out: a file in `new` that outlives a power cut. Blocking; call it in a thread. Raises
OSError, and leaves no file behind then.
"""

import os
import secrets
import time
from pathlib import Path


def make_maildir(folder: Path) -> None:
    """Private to this account. A folder that exists stays as it is."""
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def write_mail(folder: Path, mail: bytes) -> None:
    name = f"{time.time_ns()}.P{os.getpid()}R{secrets.token_hex(8)}.kannon"
    temporary, new = folder / "tmp" / name, folder / "new"
    try:
        _write(temporary, mail)
        temporary.rename(new / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(new)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """The new name is on the disk only after this, although the file's content is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
