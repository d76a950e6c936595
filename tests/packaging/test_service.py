"""The installed service under a systemd of its own: started, told ready, watched, hardened, stopped, upgraded."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machine import Machine, booted_machine
from tests.support.mounts import needs_root

pytestmark = needs_root

SMTP = "127.0.0.77:25"
PATIENCE_SECONDS = 60


@pytest.fixture
def booted(tmp_path: Path) -> Iterator[Machine]:
    with booted_machine(tmp_path / "machine") as copy:
        yield copy


def configure(copy: Machine) -> None:
    """A port below 1024, a secret from a file; the rest wherever there is room."""
    listens = {"api": "127.0.0.77:50051", "bump": "127.0.0.77:8080", "metrics": "127.0.0.77:9090", "smtp": SMTP}
    for section, listen in listens.items():
        copy.sh(rf"sed -i '/^\[{section}\]/,/^\[/ s/^listen = .*/listen = \"{listen}\"/' /etc/kannon/kannon.toml")
    copy.sh("umask 077; printf 'from-a-credential\n' > /etc/kannon/credentials/api.admin_token")


def show(copy: Machine, name: str) -> str:
    return copy.must("systemctl", "show", "kannon", f"--property={name}", "--value").strip()


def journal(copy: Machine) -> str:
    return copy.run("journalctl", "--unit=kannon", "--no-pager", "--output=cat").out


def until(copy: Machine, name: str, expected: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (value := show(copy, name)) != expected:
        assert time.monotonic() < deadline, f"{name} is {value}: {journal(copy)}"
        copy.run("sleep", "0.1")


def test_its_life_from_install_to_uninstall(booted: Machine, executable: Path) -> None:
    booted.sh(f"cp {executable} /root/kannon")
    booted.must("/root/kannon", "install")
    configure(booted)
    started = booted.run("systemctl", "enable", "--now", "kannon")  # returns when READY=1 has come
    assert started.code == 0, journal(booted)
    assert show(booted, "StatusText") == "ready"
    pid = show(booted, "MainPID")

    status = booted.must("cat", f"/proc/{pid}/status")
    assert re.search(r"^CapEff:\t0000000000000400$", status, re.M)  # CAP_NET_BIND_SERVICE alone
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^Seccomp:\t2$", status, re.M)
    assert booted.must("stat", "-c", "%U %a", "/var/lib/kannon") == "kannon 700\n"
    assert booted.must("ps", "-o", "user=", "-p", pid).strip() == "kannon"
    assert booted.must("/usr/local/bin/kannon", "health") == "ok\n"
    token = {"KANNON_TOKEN": "from-a-credential"}
    assert booted.run("/usr/local/bin/kannon", "domains", "add", "example.com", env=token).code == 0
    assert booted.run("/usr/local/bin/kannon", "backup", "/root/kannon.dump").code == 0
    assert "220" in booted.sh("timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.77/25; head -n 1 <&3'")

    replaced = booted.must("/root/kannon", "install")
    assert replaced.endswith("Next: systemctl restart kannon\n")
    booted.must("systemctl", "restart", "kannon")
    assert booted.run("/usr/local/bin/kannon", "domains", "list", env=token).out.startswith("example.com")
    booted.must("systemctl", "stop", "kannon")
    assert show(booted, "Result") == "success"
    assert show(booted, "ExecMainStatus") == "0"
    booted.must("systemctl", "start", "kannon")
    assert "stopped the service" in booted.must("/root/kannon", "uninstall")
    assert booted.run("systemctl", "is-active", "kannon").out == "inactive\n"
    assert booted.run("ls", "/var/lib/kannon/postgres").code == 0


def test_a_server_that_hangs_is_restarted_by_the_watchdog(booted: Machine, executable: Path) -> None:
    booted.sh(f"cp {executable} /root/kannon")
    booted.must("/root/kannon", "install")
    configure(booted)
    booted.sh("mkdir -p /etc/systemd/system/kannon.service.d")
    booted.sh("printf '[Service]\nWatchdogSec=3s\nRestartSec=0\n' > /etc/systemd/system/kannon.service.d/soon.conf")
    booted.must("systemctl", "daemon-reload")
    booted.must("systemctl", "start", "kannon")
    pid = show(booted, "MainPID")
    booted.must("kill", "-STOP", pid)
    until(booted, "NRestarts", "1")
    until(booted, "StatusText", "ready")
    assert show(booted, "MainPID") != pid
    assert booted.must("/usr/local/bin/kannon", "health") == "ok\n"


def test_a_wrong_configuration_is_not_tried_again(booted: Machine, executable: Path) -> None:
    booted.sh(f"cp {executable} /root/kannon")
    booted.must("/root/kannon", "install")
    booted.sh("printf '[api]\nlisten = \"nowhere\"\n' > /etc/kannon/kannon.toml")
    assert booted.run("systemctl", "start", "kannon").code != 0
    assert show(booted, "ExecMainStatus") == "78"
    assert show(booted, "NRestarts") == "0"
    assert "kannon: configuration: api.listen: " in journal(booted)


def test_the_package_starts_restarts_and_stops_it(booted: Machine, package: Path) -> None:
    booted.sh("rm -f /usr/sbin/policy-rc.d; mkdir -p /etc/kannon")
    booted.sh('printf \'data_dir = "/var/lib/kannon"\n[bump]\nlisten = "127.0.0.77:8080"\n\' > /etc/kannon/kannon.toml')
    booted.must("dpkg", "--force-confold", "--install", package)
    until(booted, "ActiveState", "active")
    pid = show(booted, "MainPID")
    booted.must("dpkg", "--force-confold", "--install", package)
    until(booted, "ActiveState", "active")
    assert show(booted, "MainPID") not in (pid, "0")
    booted.must("dpkg", "--purge", "kannon")
    assert booted.run("systemctl", "is-active", "kannon").out == "inactive\n"
    assert booted.run("ls", "/var/lib/kannon").code != 0
