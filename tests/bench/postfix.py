"""Postfix with OpenDKIM as its milter, in a separate folder; they sign all mail and relay it to one port.

In: a folder, the port to relay to, DKIM's domain and key, further lines of main.cf. Out: the port that accepts mail,
and the CPU time of all their processes by program. Listens on loopback only; needs root, as Postfix does.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.bench.processes import TICKS, tree
from tests.support.interop import find_program, listening
from tests.support.processes import all_gone
from tests.support.smtp_peer import free_port

# Other settings keep their defaults; Postfix syncs its queue files to disk as always. No process ends after 100 mails,
# no process queries DNS, no mail is throttled, and no program reads the log.
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relayhost = [127.0.0.1]:{sink}
transport_maps = inline:{{ {{ probe.example = smtp:[127.0.0.1]:{probe} }} }}
smtpd_milters = unix:{folder}/opendkim.sock
milter_default_action = tempfail
default_process_limit = 100
max_use = 100000
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtp_dns_support_level = disabled
smtp_tls_security_level = none
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
_OPENDKIM = """
Socket local:{folder}/opendkim.sock
UMask 000
Mode s
Domain {domain}
Selector bench
KeyFile {folder}/key.pem
RequireSafeKeys no
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
Syslog no
"""


class PostfixWithOpendkim:
    """`probe` is where mail to probe.example goes; all other mail goes to `sink`."""

    def __init__(
        self, folder: Path, *, sink: int, probe: int, domain: str, key: str, lines: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._postfix = [find_program("postfix"), "-c", str(folder / "config")]
        folder.chmod(0o755)  # Postfix drops its privileges and must still reach the files
        for name in ("queue", "config", "data"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        main = _MAIN.format(folder=folder, sink=sink, probe=probe)
        (folder / "config/main.cf").write_text(main + "\n".join(lines) + "\n")
        (folder / "config/master.cf").write_text(_MASTER.format(port=self.port))
        (folder / "key.pem").write_text(key)
        (folder / "opendkim.conf").write_text(_OPENDKIM.format(folder=folder, domain=domain))
        self._opendkim: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when mail can be submitted; a mail that comes before OpenDKIM listens would be refused."""
        self._opendkim = subprocess.Popen([find_program("opendkim"), "-f", "-x", str(self._folder / "opendkim.conf")])
        subprocess.run([*self._postfix, "start"], check=True, stderr=subprocess.DEVNULL)
        await listening(self.port)

    async def stop(self) -> None:
        """The other processes end with Postfix's master."""
        if self._opendkim is not None:
            self._opendkim.terminate()
            self._opendkim.wait()
        if (master := self._master()) is not None:
            pids = list(tree(master))
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGTERM)
            await all_gone(pids)

    def _master(self) -> int | None:
        try:
            return int((self._folder / "queue/pid/master.pid").read_text())
        except OSError:
            return None

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time by program so far; children of the master that have ended are "ended"."""
        master = self._master()
        assert master is not None
        assert self._opendkim is not None
        found = defaultdict[str, float](float)
        for pid in (self._opendkim.pid, *tree(master)):
            name, fields = Path(f"/proc/{pid}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
            # utime, stime and those of waited-for children: fields 14 to 17 of proc(5), 11 to 14 after the name.
            times = [int(field) / TICKS for field in fields.split()[11:15]]
            found[name] += times[0] + times[1]
            found["ended"] += times[2] + times[3]
        return found
