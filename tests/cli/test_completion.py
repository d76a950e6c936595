"""Shell completion, as bash requests it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT

PROGRAM = f"#!{sys.executable}\nfrom kannon.cli import main\n\nmain()\n"


TYPED = {
    "que": ["queue"],
    "queue re": ["retry", "resume"],
    "domains dns --ver": ["--verify"],
    "check --conf": ["--config"],
}


@pytest.mark.parametrize(("typed", "offered"), TYPED.items())
def test_bash_completes_commands_and_options(tmp_path: Path, typed: str, offered: list[str]) -> None:
    program = tmp_path / "kannon"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    complete(tmp_path, typed, offered)


def test_bash_completes_commands_of_the_executable(tmp_path: Path, executable: Path) -> None:
    (tmp_path / "kannon").symlink_to(executable)
    complete(tmp_path, "queue re", ["retry", "resume"])


def complete(tmp_path: Path, typed: str, offered: list[str]) -> None:
    """Runs bash's completion with the `kannon` of this folder."""
    words = ["kannon", *typed.split()]
    script = (
        'eval "$(kannon --show-completion)"; '
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        '_kannon_completion kannon; echo "${COMPREPLY[@]}"'
    )
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = subprocess.run(["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert (said.stdout.split(), said.stderr) == (offered, "")
