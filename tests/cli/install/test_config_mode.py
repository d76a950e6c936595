"""kannon.toml may hold a password: an installation keeps other users out, also of a file that it does not write."""

import os
import stat
from pathlib import Path

import pytest

from kannon.cli.install.install import restrict


@pytest.mark.parametrize(
    ("before", "after"), [(0o644, 0o640), (0o666, 0o640), (0o600, 0o600), (0o640, 0o640), (0o604, 0o640)]
)
def test_other_users_cannot_read_the_configuration(
    tmp_path: Path, before: int, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kannon.toml"
    file.write_text("# mine\n")
    file.chmod(before)
    for _ in range(2):
        restrict(file, (os.getuid(), os.getgid()))
        assert stat.S_IMODE(file.stat().st_mode) == after
    said = capsys.readouterr().out
    assert said == ("" if before == after else f"other users can no longer read {file}\n")
