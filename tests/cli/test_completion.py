"""Shell completion, as bash requests it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kannon.db.pool import Database
from tests.support.api import TOKEN, running_api
from tests.support.command import ROOT, Command

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


async def test_names_and_ids_are_those_of_the_server(db: Database, tmp_path: Path) -> None:
    async with running_api(db) as api:
        env = {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN}
        kannon = Command(tmp_path, env)

        async def offered(typed: str, **more: str) -> list[str]:
            words = f"kannon {typed}"
            asked = {"_KANNON_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
            said = await Command(tmp_path, env | asked | more)()
            assert (said.code, said.err) == (0, ""), said
            return said.out.split()

        await api.create_domain("example.com")
        await api.create_domain("second.example")
        (tmp_path / "mail.html").write_text("x")
        template = (await kannon("templates", "create", "example.com", "mail.html")).out.strip()
        key = (await kannon("keys", "create", "example.com", "--json")).json["api_key"]["id"]
        send = ("send", "--from", "n@example.com", "--subject", "s", "--template", template, "--to", "a@b.de", "--json")
        batch = (await kannon(*send)).json["batches"][0]["message_id"]
        delivery = (await kannon("queue", "list")).rows[0][0]
        assert await offered("domains show ") == ["example.com", "second.example"]
        assert await offered("stats sec") == ["second.example"]
        assert await offered("batches show msg_") == [batch]
        assert await offered("queue list --batch ") == [batch]
        assert await offered("stats --batch ") == [batch]
        assert await offered("templates show ") == [template]
        assert await offered("send --template temp") == [template]
        assert await offered("queue why ") == [delivery]
        assert await offered("queue why m") == [batch]
        assert await offered("queue cancel ") == [delivery]
        assert await offered("keys revoke example.com ") == [key]
        assert await offered("domains dkim activate example.com ") == ["kannon"]
        assert await offered("queue list --state s") == ["scheduled", "sending"]
        assert await offered("stats --type c") == ["clicked", "complained"]
        assert await offered("domains show ", KANNON_TOKEN="wrong") == []
        assert await offered("domains show ", KANNON_SERVER="127.0.0.1:1") == []
        assert await offered("domains show ", KANNON_SERVER="nonsense") == []
        (tmp_path / "kannon.toml").write_text("nonsense")
        assert await offered("domains show ", KANNON_SERVER="", KANNON_TOKEN="") == []
        assert await offered("domains show --server 127.0.0.1:1 ", KANNON_SERVER="") == []


async def test_a_server_that_does_not_answer_holds_up_no_key_press(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nothing answers
        env = {"KANNON_SERVER": f"127.0.0.1:{silent.getsockname()[1]}", "KANNON_TOKEN": "x"}
        asked = {"_KANNON_COMPLETE": "complete_bash", "COMP_WORDS": "kannon domains show ", "COMP_CWORD": "3"}
        said = await Command(tmp_path, env | asked)()
    assert (said.code, said.out.strip(), said.err) == (0, "", "")


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
