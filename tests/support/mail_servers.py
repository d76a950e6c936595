"""Exim and OpenSMTPD from Debian, unpacked (packaging/test-packages-unpacked.txt), each in its own mount namespace.

In: a certificate file, or none for a server without STARTTLS. Out: a server on loopback that accepts mail for
b@dest.test into a Maildir. The paths and users that are compiled into these servers exist only in their namespace; the
machine is not changed. Needs root.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.support.interop import listening, mails_in
from tests.support.smtp_peer import free_port

UNPACKED = Path(__file__).resolve().parent.parent.parent / "build" / "interop"
USERS = ("keeper", "Debian-exim", "opensmtpd", "opensmtpq")
FIRST_UID = 64_900


@dataclass(frozen=True)
class MailServer:
    port: int
    folder: Path

    def mails(self) -> list[bytes]:
        return mails_in(self.folder / "mail")


_EXIM = """
exim_path = {unpacked}/usr/sbin/exim4
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
deliver_drop_privilege = true
primary_hostname = mx.dest.test
domainlist ours = dest.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
message_size_limit = 1000000
acl_smtp_rcpt = check
acl_smtp_data = take
tls_advertise_hosts = {tls}
{certificate}
begin acl
check:
  deny message = 5.1.1 nobody here by that name
       !local_parts = b
  accept domains = +ours
  deny message = 5.7.1 relaying denied
take:
  accept
begin routers
keep:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
"""

_OPENSMTPD = """
{pki}
table users {{ "b@dest.test" = "keeper" }}
smtp max-message-size "1000000"
listen on 127.0.0.1 port {port} {tls} hostname mx.dest.test
action "keep" maildir "{folder}/mail" virtual <users>
match from any for domain "dest.test" action "keep"
"""


def _exim(folder: Path, port: int, certificate: Path | None, ciphers: str) -> list[str]:
    (folder / "spool").mkdir()
    for path in (folder, folder / "spool", folder / "mail", *([certificate] if certificate else [])):
        shutil.chown(path, *_ids("Debian-exim"))
    lines = f"tls_certificate = {certificate}\ntls_privatekey = {certificate}\n" if certificate else ""
    lines += f"tls_require_ciphers = {ciphers}\n" if ciphers else ""
    config = folder / "exim.conf"
    tls = "*" if certificate else ""
    config.write_text(_EXIM.format(unpacked=UNPACKED, folder=folder, port=port, tls=tls, certificate=lines))
    return [f"{UNPACKED}/usr/sbin/exim4", "-C", str(config), "-bdf"]


def _opensmtpd(folder: Path, port: int, certificate: Path | None, ciphers: str) -> list[str]:
    pki = f'pki "mx" cert "{certificate}"\npki "mx" key "{certificate}"' if certificate else ""
    tls = 'tls pki "mx"' if certificate else ""
    config = folder / "smtpd.conf"
    config.write_text(_OPENSMTPD.format(pki=pki, port=port, folder=folder, tls=tls))
    return [f"{UNPACKED}/usr/sbin/smtpd", "-d", "-f", str(config)]


SERVERS: dict[str, Callable[[Path, int, Path | None, str], list[str]]] = {"exim": _exim, "opensmtpd": _opensmtpd}


@asynccontextmanager
async def mail_server(name: str, certificate: Path | None = None, *, ciphers: str = "") -> AsyncIterator[MailServer]:
    """`name` is one of SERVERS; `ciphers` is a priority string for Exim."""
    if os.environ.get("KANNON_SKIP_INTEROP") == "1" and (os.geteuid() != 0 or not UNPACKED.is_dir()):
        pytest.skip(f"{name} is not there, or cannot be started by this user")
    assert UNPACKED.is_dir(), "mail servers are missing: packaging/install-test-packages unpacks them"
    # Not pytest's folder: the servers drop their privileges and must still reach the files.
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as path:
        folder = Path(path)
        folder.chmod(0o755)
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", *_ids("keeper"))
        if certificate is not None:
            certificate = Path(shutil.copy(certificate, folder / "certificate.pem"))
            certificate.chmod(0o600)
        server = MailServer(free_port(), folder)
        command = SERVERS[name](folder, server.port, certificate, ciphers)
        inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-euc", _namespace(folder), "sh", *command]
        with (folder / "output").open("wb") as output:
            async with await anyio.open_process(inside, stdout=output, stderr=output) as process:
                try:
                    await listening(server.port)
                    yield server
                finally:
                    _end(process.pid)


def _end(unshare: int) -> None:
    """Kills the child of unshare, the first process of the namespace: all others and unshare end with it."""
    for child in Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def _ids(user: str) -> tuple[int, int]:
    number = FIRST_UID + USERS.index(user)
    return number, number


def _namespace(folder: Path) -> str:
    """A script that mounts its own /etc/passwd, /var and so on, and then executes its arguments."""
    passwd, group = ["root:x:0:0:root:/root:/bin/sh"], ["root:x:0:"]
    for user in USERS:
        uid, gid = _ids(user)
        passwd.append(f"{user}:x:{uid}:{gid}::{folder}/mail:/bin/sh")
        group.append(f"{user}:x:{gid}:")
    (folder / "passwd").write_text("\n".join(passwd) + "\n")
    (folder / "group").write_text("\n".join(group) + "\n")
    (folder / "var/lib/opensmtpd/empty").mkdir(parents=True)
    (folder / "var/spool").mkdir()
    (folder / "var/run").symlink_to("/run")
    return f"""
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/group /etc/group
mount -t tmpfs tmpfs /run
mount --bind {folder}/var /var
mount --bind {UNPACKED}/usr/libexec /usr/libexec
exec "$@"
"""
