"""Every code block of README.md and docs/*.md runs as it would be pasted, each in a process of its own.

In: the fenced blocks, by language. The bash blocks share a scratch folder and one server, which README's own first
block starts, in the sandbox; its listeners get free ports by variables. Python and JavaScript run in test_examples.py.
NOT_RUN lists the blocks that cannot run here, each with the reason.
"""

import os
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from kannon.mail.webhook import WebhookType
from tests.support.certificates import make_authority
from tests.support.cipher import MASTER_KEY
from tests.support.kannon_process import free_port
from tests.support.patience import patience
from tests.support.promtool import promtool

ROOT = Path(__file__).parents[2]
LISTENERS = ("API", "BUMP", "SMTP", "SUBMISSION", "METRICS")
NOT_RUN = {
    "make torture": "it takes minutes; tests/torture runs a short form",
    "grpcurl -plaintext 127.0.0.1:50051 list": "grpcurl is no package of Debian or PyPI",
    "docker run --read-only": "there is no container engine; tests/packaging/test_container.py reads the Dockerfile",
    "EMAIL_BACKEND": "Django's settings are no program",
    "<?php": "PHP needs PHPMailer or WordPress; `php -l` reads them in test_examples.py",
    "stats.example.com {": "Caddy is not installed, for one block of three lines",
}
ELSEWHERE = {"python", "js", "json", "sh"}
"""test_examples.py and test_webhooks_md.py run or check these. `sh`: the tasks of docs/api.md, one program."""


@dataclass(frozen=True)
class Block:
    document: str
    language: str
    text: str

    @property
    def reason(self) -> str:
        """Why it does not run; empty if it does."""
        return next((reason for start, reason in NOT_RUN.items() if self.text.startswith(start)), "")


def documents() -> dict[str, str]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


BLOCKS = [
    Block(name, language, text)
    for name, content in documents().items()
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", content, re.M | re.S)
]


def blocks(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and not block.reason]


SERVE, *BASH = blocks("bash")


def test_every_block_has_a_language_and_runs_or_has_a_reason() -> None:
    """`text` is for pictures."""
    run = {"bash", "toml", "yaml", "text"} | ELSEWHERE
    assert [block for block in BLOCKS if block.language not in run and not block.reason] == []
    assert {block.reason for block in BLOCKS if block.reason} == set(NOT_RUN.values())
    elsewhere = Counter(block.document for block in BLOCKS if block.language in ELSEWHERE and not block.reason)
    assert elsewhere == {"docs/api.md": 2 + 4 * 14, "docs/webhooks.md": 1 + len(WebhookType)}


@pytest.mark.parametrize("name", documents())
def test_every_block_is_fenced(name: str) -> None:
    """An indented one would have no language. Lines of a list are indented less."""
    prose = re.sub(r"^```.*?^```$", "", documents()[name], flags=re.M | re.S)
    assert re.findall(r"^    .*\S.*$", prose, re.M) == []


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.document)
def test_a_configuration_is_valid(block: Block, tmp_path: Path) -> None:
    """With a certificate of the test in place of what the block names."""
    pem = make_authority(tmp_path).issue_file("mail.example.com")
    (tmp_path / "kannon.toml").write_text(re.sub(r"/etc/kannon/\w+\.(pem|key)", str(pem), block.text))
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "kannon", "check"],
        cwd=tmp_path,
        env={**os.environ, "KANNON_MASTER_KEY": MASTER_KEY},  # each block with an external database needs one
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.document)
def test_prometheus_accepts_its_configuration(block: Block, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(block.text)
    promtool("check", "config", "--syntax-only", str(tmp_path / "prometheus.yml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As after the installation: what make looks at, and the environment."""
    for name in (".venv", "Makefile", "pyproject.toml", "requirements.lock", "packaging", "setup.py", "kannon", "sql"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    listeners = {f"KANNON_{name}__LISTEN": f"127.0.0.1:{free_port()}" for name in LISTENERS}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **listeners}


@pytest.fixture
async def terminal(folder: Path, environ: dict[str, str]) -> AsyncIterator[Path]:
    """Runs README's first block; what it prints."""
    printed = folder / "terminal.log"
    with printed.open("wb") as out:
        server = subprocess.Popen(
            ["bash", "-c", SERVE.text],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        with patience():
            while "Kannon is ready" not in printed.read_text():
                assert server.poll() is None, printed.read_text()
                await anyio.sleep(0.05)
        yield printed
    finally:
        os.killpg(server.pid, 15)
        server.wait()


@pytest.mark.parametrize("last", ["README.md", pytest.param("docs/suppressions.md", marks=pytest.mark.long)])
async def test_the_first_minute_shows_a_mail_and_every_shell_block_runs(
    folder: Path, environ: dict[str, str], terminal: Path, last: str
) -> None:
    """Up to the document `last`, in their order: later blocks use what README's blocks made."""
    assert last in (BASH[-1].document, "README.md")
    assert SERVE.text == "KANNON_SENDER__MODE=sandbox make serve\n"
    for number, block in enumerate(block for block in BASH if block.document <= last):
        env = environ if number == 0 else environ | {"PATH": f"{ROOT}/.venv/bin:{environ['PATH']}"}
        done = await anyio.run_process(
            ["bash", "-euo", "pipefail", "-c", block.text], cwd=folder, env=env, check=False, stdin=subprocess.DEVNULL
        )
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, f"{block.document}:\n{block.text}\n{said}\n{terminal.read_text()}"
        if number == 0:
            assert block.document == "README.md"
            assert "To: you@example.org" in said
            assert "Hello You" in said
    assert "Traceback" not in terminal.read_text()
