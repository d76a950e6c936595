"""Programs of other projects: smtp-sink with its fault switches, and Postfix, both from Debian's postfix package."""

import getpass
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.support.certificates import make_authority
from tests.support.patience import patience
from tests.support.smtp_peer import free_port


def find_program(name: str) -> str:
    """The path of a program that packaging/test-packages.txt names."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip(f"{name} is not installed")
    assert found is not None, f"{name} is missing; see packaging/test-packages.txt"
    return found


async def listening(port: int) -> None:
    with patience():
        while True:
            try:
                stream = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                await anyio.sleep(0.02)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def smtp_sink(*switches: str) -> AsyncIterator[int]:
    """smtp-sink on a free port."""
    port = free_port()
    user = ["-u", "nobody"] if getpass.getuser() == "root" else []
    command = [find_program("smtp-sink"), *user, *switches, f"127.0.0.1:{port}", "100"]
    async with await anyio.open_process(command, stdout=None, stderr=None) as process:
        try:
            await listening(port)
            yield port
        finally:
            process.terminate()


@dataclass(frozen=True)
class Postfix:
    port: int
    maildir: Path

    def mails(self) -> list[bytes]:
        return mails_in(self.maildir)


def mails_in(maildir: Path) -> list[bytes]:
    new = maildir / "new"
    return [file.read_bytes() for file in sorted(new.iterdir())] if new.is_dir() else []


_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.dest.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = dest.test
virtual_mailbox_base = {folder}
virtual_mailbox_maps = inline:{{ {{ b@dest.test = mail/ }}, {{ jürgen@dest.test = mail/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
message_size_limit = 1000000
smtputf8_enable = yes
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


@asynccontextmanager
async def postfix(certificate: Path | None = None) -> AsyncIterator[Postfix]:
    """A Postfix that accepts mail for b@dest.test and jürgen@dest.test, by default with a self-made certificate. Needs
    root."""
    program = find_program("postfix")
    if os.geteuid() != 0 and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("Postfix is started by root only")
    # Not pytest's folder: Postfix drops its privileges and must still reach the files.
    with tempfile.TemporaryDirectory(prefix="postfix-") as folder:
        server = Postfix(free_port(), Path(folder) / "mail")
        _configure(Path(folder), server.port, certificate)
        command = [program, "-c", f"{folder}/config"]
        await anyio.run_process([*command, "start"], check=True)
        try:
            await listening(server.port)
            yield server
        finally:
            await anyio.run_process([*command, "abort"], check=False)


def _configure(folder: Path, port: int, certificate: Path | None) -> None:
    uid = 65534
    certificate = certificate or make_authority(folder).issue_file("mx.dest.test")
    folder.chmod(0o755)
    for name in ("queue", "mail", "config", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "mail", uid, uid)
    shutil.chown(folder / "data", "postfix")
    config = folder / "config"
    main = _MAIN.format(folder=folder, uid=uid, certificate=certificate)
    (config / "main.cf").write_text(main)
    (config / "master.cf").write_text(_MASTER.format(port=port))
