"""`kannon install` and `kannon uninstall` on a copy of this machine; the unit it writes, as systemd reads it."""

import re
from pathlib import Path

import pytest

from tests.support.machine import Machine
from tests.support.mounts import needs_root

pytestmark = needs_root

MAX_EXPOSURE = 2.5
UNIT = "/etc/systemd/system/kannon.service"


@pytest.fixture
def downloaded(copy: Machine, executable: Path) -> Machine:
    copy.put(executable, "/root/kannon")
    return copy


def listing(copy: Machine) -> str:
    places = "/usr/local/libexec /usr/local/bin /usr/local/share/man /etc/kannon /etc/systemd/system /var/lib/kannon"
    return copy.sh(
        f"find {places} -printf '%p %m %u %i %l\\n' 2>/dev/null | LC_ALL=C sort; getent passwd kannon || true"
    )


def test_install_lists_its_files_and_the_installed_program_runs(downloaded: Machine) -> None:
    said = downloaded.must("/root/kannon", "install")
    for made in ("created user kannon", f"wrote {UNIT}", "wrote /etc/kannon/kannon.toml", "created /var/lib/kannon"):
        assert f"{made}\n" in said
    assert said.endswith("Next: systemctl enable --now kannon\n")
    downloaded.must("rm", "/root/kannon")
    assert downloaded.must("/usr/local/bin/kannon", "version").startswith("kannon ")
    assert 'data_dir = "/var/lib/kannon"' in downloaded.must("/usr/local/bin/kannon", "check")
    assert (
        downloaded.must(
            "stat", "-c", "%U %G %a", "/var/lib/kannon", "/etc/kannon/credentials", "/etc/kannon/kannon.toml"
        )
        == "kannon kannon 700\nroot root 700\nroot kannon 640\n"
    )
    for page in ("1 kannon", "5 kannon.toml"):
        assert "kannon" in downloaded.sh(f"man -w {page}")


def test_a_second_install_changes_nothing(downloaded: Machine) -> None:
    downloaded.must("/root/kannon", "install")
    downloaded.sh("echo '# mine' >> /etc/kannon/kannon.toml")
    before = listing(downloaded)
    said = downloaded.must("/root/kannon", "install")
    assert {line.split()[0] for line in said.splitlines()} == {"kept", "Next:"}
    assert listing(downloaded) == before
    assert downloaded.must("/usr/local/bin/kannon", "install").startswith(
        "kept user kannon\nkept /usr/local/libexec/kannon\n"
    )
    assert downloaded.must("tail", "-n", "1", "/etc/kannon/kannon.toml") == "# mine\n"


def test_an_upgrade_replaces_only_the_program(downloaded: Machine) -> None:
    downloaded.must("/root/kannon", "install")
    downloaded.sh("echo old > /usr/local/libexec/kannon/_internal/kannon/sql/old; echo '# old' >> " + UNIT)
    said = downloaded.must("/root/kannon", "install")
    assert "replaced /usr/local/libexec/kannon\n" in said
    assert f"replaced {UNIT}\n" in said
    assert "kept /etc/kannon/kannon.toml\n" in said
    assert downloaded.run("test", "-e", "/usr/local/libexec/kannon/_internal/kannon/sql/old").code == 1
    assert downloaded.sh("ls /usr/local/libexec") == "kannon\n"


def test_uninstall_keeps_configuration_and_data(downloaded: Machine) -> None:
    downloaded.must("/root/kannon", "install")
    downloaded.sh("touch /var/lib/kannon/data")
    said = downloaded.must("/usr/local/bin/kannon", "uninstall")
    assert "kept /etc/kannon, /var/lib/kannon and the user kannon" in said
    assert downloaded.must("ls", "/var/lib/kannon") == "data\n"
    assert downloaded.must("/root/kannon", "uninstall").splitlines() == said.splitlines()[-1:]
    names = [line.split()[0] for line in listing(downloaded).splitlines()]
    assert [name for name in names if "kannon" in name] == [
        *("/etc/kannon", "/etc/kannon/credentials", "/etc/kannon/kannon.toml"),
        *("/var/lib/kannon", "/var/lib/kannon/data"),
        next(name for name in names if name.startswith("kannon:")),
    ]
    assert downloaded.must("/root/kannon", "install").count("kept ") >= 4


def test_install_is_refused_where_it_cannot_work(downloaded: Machine, tmp_path: Path) -> None:
    downloaded.sh("mkdir -p /machines/empty; mkdir -p /machines/packaged/usr/lib/systemd/system")
    downloaded.sh("touch /machines/packaged/usr/lib/systemd/system/kannon.service; useradd --create-home ann")
    downloaded.sh("install -m 0755 /root/kannon /usr/local/bin/kannon-downloaded")
    ann = ("setpriv", "--reuid=ann", "--regid=ann", "--clear-groups", "/usr/local/bin/kannon-downloaded")
    for command, problem in (
        (("/root/kannon", "install", "--root", "/machines/empty"), "has no systemd"),
        (("/root/kannon", "install", "--root", "/machines/packaged"), "a package of the distribution is installed"),
        ((*ann, "install"), "run this as root"),
        ((*ann, "uninstall"), "run this as root"),
    ):
        done = downloaded.run(*command, env={"HOME": "/home/ann"})
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("kannon: ")
        assert problem in done.err
        assert done.err.count("\n") == 1
    assert downloaded.sh("find /machines -type f") == "/machines/packaged/usr/lib/systemd/system/kannon.service\n"


def test_systemd_accepts_the_unit(downloaded: Machine) -> None:
    downloaded.must("/root/kannon", "install")
    verified = downloaded.run("systemd-analyze", "verify", UNIT)
    assert (verified.code, verified.out, verified.err) == (0, "", "")
    report = downloaded.must("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for kannon.service: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE
