"""The installed service under a real systemd: start, readiness, watchdog, hardening, stop, upgrade."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine, booted_machine
from tests.support.mounts import needs_root
from tests.support.patience import PATIENCE_SECONDS

pytestmark = needs_root

CONFIG = "/etc/kannon/kannon.toml"
DEB = "/root/kannon.deb"
SMARTHOST = r"[Service]\nLoadCredential=smarthost:/etc/kannon/smarthost\n"
ROUTE = """
[[sender.routes]]
domain = "smarthost.example"
host = "127.0.0.1"
tls = "verify"
username = "u"
password_file = "/run/credentials/kannon.service/smarthost"
"""


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[Machine]:
    with booted_machine(tmp_path / "machine") as copy:
        yield copy


@pytest.fixture
def installed(booted: Machine, executable: Path) -> Machine:
    booted.put(executable, "/root/kannon")
    booted.must("/root/kannon", "install")
    return booted


def show(copy: Machine, name: str) -> str:
    return copy.must("systemctl", "show", "kannon", f"--property={name}", "--value").strip()


def journal(copy: Machine) -> str:
    return copy.run("journalctl", "--unit=kannon", "--no-pager", "--output=cat").out


def until(copy: Machine, name: str, expected: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (value := show(copy, name)) != expected:
        assert time.monotonic() < deadline, f"{name} is {value}: {journal(copy)}"
        time.sleep(0.05)


def test_the_service_runs_from_install_to_uninstall(installed: Machine) -> None:
    """With a port below 1024, secrets from files (a smarthost's as operating.md says), permissions, and one upgrade."""
    installed.sh(rf"sed -i 's/^listen = .*:2525\"$/listen = \"127.0.0.1:25\"/' {CONFIG}")
    installed.sh("umask 077; echo from-a-credential > /etc/kannon/credentials/api.admin_token")
    drop_in = "/etc/systemd/system/kannon.service.d"
    installed.sh(f"mkdir -p {drop_in}; printf '{SMARTHOST}' > {drop_in}/smarthost.conf; systemctl daemon-reload")
    installed.sh(f"sed -i '/^routes = /d' {CONFIG}")
    installed.sh(f"umask 077; echo hunter2 > /etc/kannon/smarthost; cat >> {CONFIG} <<'END'\n{ROUTE}END\n")
    started = installed.run("systemctl", "enable", "--now", "kannon")  # returns when READY=1 has come
    assert started.code == 0, journal(installed)
    assert show(installed, "StatusText") == "ready"
    pid = show(installed, "MainPID")

    status = installed.must("cat", f"/proc/{pid}/status")
    assert re.search(r"^CapEff:\t0000000000000400$", status, re.M)  # CAP_NET_BIND_SERVICE alone
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^Seccomp:\t2$", status, re.M)
    assert installed.must("stat", "-c", "%U %a", "/var/lib/kannon") == "kannon 700\n"
    assert installed.must("stat", "-c", "%U", f"/proc/{pid}") == "kannon\n"
    assert installed.must("/usr/local/bin/kannon", "health") == "ok\n"
    token = {"KANNON_TOKEN": "from-a-credential"}
    installed.must("/usr/local/bin/kannon", "domains", "add", "example.com", env=token)
    installed.must("/usr/local/bin/kannon", "backup", "/root/kannon.dump")
    assert "220" in installed.sh("timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/25; head -n 1 <&3'")

    assert installed.must("/root/kannon", "install").endswith("Next: systemctl restart kannon\n")
    installed.must("systemctl", "restart", "kannon")
    assert installed.must("/usr/local/bin/kannon", "domains", "list", env=token).startswith("example.com")
    installed.must("systemctl", "stop", "kannon")
    assert show(installed, "Result") == "success"
    assert show(installed, "ExecMainStatus") == "0"
    installed.must("systemctl", "start", "kannon")
    assert "stopped the service" in installed.must("/root/kannon", "uninstall")
    assert installed.run("systemctl", "is-active", "kannon").out == "inactive\n"
    installed.must("ls", "/var/lib/kannon/postgres")


def test_the_watchdog_restarts_a_server_that_hangs(installed: Machine) -> None:
    installed.sh("mkdir -p /etc/systemd/system/kannon.service.d")
    installed.sh("printf '[Service]\nWatchdogSec=5s\nRestartSec=0\n' > /etc/systemd/system/kannon.service.d/soon.conf")
    installed.must("systemctl", "daemon-reload")
    installed.must("systemctl", "start", "kannon")
    pid = show(installed, "MainPID")
    installed.must("kill", "-STOP", pid)
    until(installed, "NRestarts", "1")
    until(installed, "ActiveState", "active")
    assert show(installed, "MainPID") not in (pid, "0")
    assert installed.must("/usr/local/bin/kannon", "health") == "ok\n"


def test_a_wrong_configuration_is_not_restarted(installed: Machine) -> None:
    installed.sh(f"printf '[api]\nlisten = \"nowhere\"\n' > {CONFIG}")
    assert installed.run("systemctl", "start", "kannon").code != 0
    until(installed, "ActiveState", "failed")
    assert show(installed, "ExecMainStatus") == "78"
    assert show(installed, "NRestarts") == "0"
    assert "kannon: configuration: api.listen: " in journal(installed)


def test_the_package_starts_restarts_and_stops_it(booted: Machine, package: Path) -> None:
    booted.sh("rm -f /usr/sbin/policy-rc.d")
    booted.put(package, DEB)
    booted.must("dpkg", "--install", DEB)
    until(booted, "ActiveState", "active")
    pid = show(booted, "MainPID")
    booted.must("dpkg", "--install", DEB)
    until(booted, "ActiveState", "active")
    assert show(booted, "MainPID") not in (pid, "0")
    booted.must("dpkg", "--purge", "kannon")
    assert booted.run("systemctl", "is-active", "kannon").out == "inactive\n"
    assert booted.run("ls", "/var/lib/kannon").code != 0
