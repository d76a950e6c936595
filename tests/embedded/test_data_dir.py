"""The data directory itself: what is made, how it is protected, what is found again."""

import os
import stat
from pathlib import Path

import pytest

from kannon.embedded import DataDir, read_admin_token
from kannon.errors import OperatorError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_private(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "a" / "b") as data_dir:
        assert data_dir.path == tmp_path / "a" / "b"
    # Root's children are other users and pass through it; what lies in it is private by itself.
    assert mode(tmp_path / "a" / "b") == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(tmp_path / "a" / "b" / "logs") == 0o700


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with DataDir.open(tmp_path):
        assert mode(tmp_path) == 0o755


def test_a_relative_path_is_fixed_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with DataDir.open(Path("data")) as data_dir:
        assert data_dir.path == tmp_path / "data"


def test_the_lock_ends_with_the_directory(tmp_path: Path) -> None:
    first = DataDir.open(tmp_path)
    with pytest.raises(OperatorError, match="in use by another kannon serve"):
        DataDir.open(tmp_path)
    first.close()
    first.close()
    DataDir.open(tmp_path).close()


def test_the_admin_token_is_made_once(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data_dir:
        token = data_dir.admin_token()
        assert data_dir.admin_token() == token
    assert len(token) >= 43  # 256 bits
    assert mode(tmp_path / "admin_token") == 0o600
    assert read_admin_token(tmp_path) == token
    with DataDir.open(tmp_path) as data_dir:
        assert data_dir.admin_token() == token
    with DataDir.open(tmp_path / "other") as other:
        assert other.admin_token() != token


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), (b"", "is empty"), (b"\xff", "not a token")]
)
def test_an_unusable_token_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "admin_token").write_bytes(content)
    with pytest.raises(OperatorError, match=problem):
        read_admin_token(tmp_path)
