"""The copies of this machine that other tests use: files get into them, and they leave nothing behind."""

import re
from pathlib import Path

from tests.support.machine import booted_machine, machine
from tests.support.mounts import needs_root, tmpfs

pytestmark = needs_root


def test_a_file_from_anywhere_can_be_put_into_the_copy(tmp_path: Path) -> None:
    """Also from a file system that the copy does not have, and from folders that a booted copy mounts over."""
    outside = tmp_path / "outside"
    outside.mkdir()
    with tmpfs(outside, "size=1m"):
        program = outside / "deep" / "program"
        program.parent.mkdir()
        program.write_bytes(bytes(range(256)))
        program.chmod(0o750)
        with machine(tmp_path / "machine") as copy:
            copy.put(program, "/opt/new/program")
            copy.put_folder(outside, "/opt/all")
            assert copy.must("stat", "-c", "%a %s", "/opt/new/program", "/opt/all/deep/program") == "750 256\n" * 2
            copy.must("cmp", "/opt/new/program", "/opt/all/deep/program")
    assert not Path("/opt/new").exists()


def test_a_booted_copy_leaves_nothing_behind(tmp_path: Path) -> None:
    with booted_machine(tmp_path / "machine") as copy:
        first = Path(f"/proc/{copy.pid}")
        group = re.search(r"^0::.*(kannon-test-\d+)", (first / "cgroup").read_text(), re.M)
        assert group is not None
        copy.must("systemd-run", "--quiet", "sleep", "infinity")
        tree = copy.must("find", "/sys/fs/cgroup", "-name", "run-*.service")
        assert tree.count("\n") == 1
        assert copy.must("cat", "/proc/1/comm") == "systemd\n"
        kernel = copy.run("sh", "-c", "echo 1 > /proc/sys/kernel/panic")
        assert "Read-only" in kernel.err
    assert not first.exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert list((tmp_path / "machine").iterdir()) == []
    assert list(Path("/sys/fs/cgroup").rglob(group[1])) == []
