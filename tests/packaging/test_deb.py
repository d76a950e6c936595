"""The Debian package on a copy of this machine: installed, upgraded, removed, installed again, purged."""

import subprocess
from pathlib import Path

import pytest

from tests.support.machine import Machine
from tests.support.mounts import needs_root

pytestmark = needs_root

DEB = "/root/kannon.deb"
FIELDS = "${db:Status-Abbrev} ${Version}"


def traces(copy: Machine) -> str:
    """Every path and account on the machine named kannon."""
    return copy.sh(
        "find /etc /opt /run /srv /usr /var -name '*kannon*' -not -path '/var/lib/dpkg/*' -not -path '/var/cache/man/*'"
        " | LC_ALL=C sort; getent passwd kannon || true"
    )


@pytest.fixture
def newer(package: Path, tmp_path: Path) -> Path:
    """The same package under a later version, with another unit."""
    tree = tmp_path / "newer"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 1:"))
    unit = tree / "usr/lib/systemd/system/kannon.service"
    unit.write_text(unit.read_text() + "# newer\n")
    (tree / "DEBIAN" / "md5sums").unlink()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, tmp_path / "newer.deb"], check=True)
    return tmp_path / "newer.deb"


def test_the_package_installs_upgrades_and_purges(copy: Machine, package: Path, newer: Path) -> None:
    copy.sh("rm -rf /var/cache/kannon")  # of an executable that ran on the machine itself
    before = traces(copy)
    copy.put(package, DEB)
    copy.must("dpkg", "--install", DEB)
    assert copy.must("kannon", "version").startswith("kannon ")
    assert copy.must("dpkg", "--verify", "kannon") == ""
    folders = copy.must(
        "stat", "-c", "%U %G %a", "/var/lib/kannon", "/etc/kannon/credentials", "/etc/kannon/kannon.toml"
    )
    assert folders == "kannon kannon 700\nroot root 700\nroot kannon 640\n"
    assert copy.run("systemd-analyze", "verify", "/usr/lib/systemd/system/kannon.service").err == ""
    assert copy.run("test", "-L", "/etc/systemd/system/multi-user.target.wants/kannon.service").code == 0

    copy.sh("touch /var/lib/kannon/mail; echo '# mine' >> /etc/kannon/kannon.toml")
    copy.put(newer, DEB)
    copy.must("dpkg", "--install", DEB)
    assert copy.must("dpkg-query", "--show", f"--showformat={FIELDS}", "kannon").startswith("ii  1:")
    assert copy.must("tail", "-n", "1", "/usr/lib/systemd/system/kannon.service") == "# newer\n"
    assert copy.must("tail", "-n", "1", "/etc/kannon/kannon.toml") == "# mine\n"
    assert copy.must("ls", "/var/lib/kannon") == "mail\n"

    copy.must("dpkg", "--remove", "kannon")
    assert copy.run("kannon", "version").code != 0
    assert copy.must("ls", "/var/lib/kannon") == "mail\n"
    assert copy.must("tail", "-n", "1", "/etc/kannon/kannon.toml") == "# mine\n"

    copy.put(package, DEB)
    copy.must("dpkg", "--install", DEB)
    assert copy.must("kannon", "version").startswith("kannon ")
    assert copy.must("tail", "-n", "1", "/etc/kannon/kannon.toml") == "# mine\n"
    copy.must("dpkg", "--purge", "kannon")
    assert traces(copy) == before


def test_the_package_declares_its_dependencies(package: Path) -> None:
    depends = subprocess.run(["dpkg-deb", "--field", package, "Depends"], capture_output=True, text=True, check=True)
    assert depends.stdout.startswith("libc6 (>= 2.")
    assert "python" not in depends.stdout
    assert "postgresql" not in depends.stdout


def test_the_package_has_the_rules_and_the_dashboard(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    for name in ("kannon.rules.yml", "kannon.rules.test.yml", "kannon.dashboard.json"):
        assert f"./usr/share/kannon/prometheus/{name}" in listed


def test_the_package_and_the_service_by_hand_exclude_each_other(copy: Machine, package: Path, executable: Path) -> None:
    copy.put(package, DEB)
    copy.must("dpkg", "--install", DEB)
    copy.put(executable, "/root/kannon")
    refused = copy.run("/root/kannon", "install")
    assert (refused.code, refused.out) == (1, "")
    assert "a package of the distribution is installed" in refused.err
