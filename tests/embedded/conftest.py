"""The embedded servers in a process of their own, for every kind of user there is on this machine."""

import json
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from kannon.embedded.run_as import CAP_DAC_READ_SEARCH, RunAs
from tests.support.processes import Program, command_line, descendants, program, until

USERS = ["root", "nobody"] if os.geteuid() == 0 else ["myself"]


@dataclass(frozen=True)
class Urls:
    postgres: str
    nats: str
    token: str


@dataclass(frozen=True)
class Servers:
    """A started (or failed) program around the servers."""

    program: Program

    async def ready(self) -> Urls:
        return Urls(**json.loads(await self.program.line()))

    def pid_of(self, name: str) -> int:
        """`postgres` (the postmaster) or `nats-server`."""
        return next(pid for pid in descendants(self.program.pid) if Path(command_line(pid)[0]).name == name)

    async def until_back(self, name: str) -> None:
        """Waits until the program has said `ready` of it once more."""
        component = "postgres" if name == "postgres" else "nats"
        await until(lambda: self.program.stderr.count(f"ready component={component}") == 2)


Start = Callable[..., AbstractContextManager[Servers]]


@pytest.fixture(params=USERS)
def account(request: pytest.FixtureRequest) -> RunAs | None:
    """Who the program runs as; None: as the tests do."""
    return account_named(request.param)


@pytest.fixture
def start(account: RunAs | None, tmp_path: Path) -> Start:
    """`with start(data_dir) as servers`; `without` takes capabilities away from a root program."""

    @contextmanager
    def start(data_dir: Path, *, without: tuple[int, ...] = ()) -> Iterator[Servers]:
        arguments = ("tests.support.embedded_program", str(data_dir))
        with program(*arguments, stderr=tmp_path / "stderr", account=account, without=without) as started:
            yield Servers(started)

    return start


@pytest.fixture
def data_dir(account: RunAs | None, tmp_path: Path) -> Path:
    return own(tmp_path / "data", account)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[RunAs | None, Path]:
    """Data that is made already, for each account that asked for it."""
    return {}


@pytest.fixture
async def made_dir(
    start: Start,
    account: RunAs | None,
    templates: dict[RunAs | None, Path],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A data directory whose servers have run before: a copy, which is quicker than making it anew."""
    if account not in templates:
        template = own(tmp_path_factory.mktemp("template") / "data", account)
        with start(template) as servers:
            await servers.ready()
            assert await servers.program.stop() == 0
        templates[account] = template
    await anyio.run_process(["cp", "-a", str(templates[account]), str(tmp_path / "made")])
    return tmp_path / "made"


def account_named(user: str) -> RunAs | None:
    return as_nobody() if user == "nobody" else None


def own(path: Path, account: RunAs | None) -> Path:
    """A new directory that belongs to the account, and to nobody else."""
    path.mkdir(parents=True)
    path.chmod(0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def as_nobody() -> RunAs:
    """An ordinary user that may look (the checkout or pytest's directory may be root's alone) but not touch."""
    user = pwd.getpwnam("nobody")
    return RunAs(user.pw_uid, user.pw_gid, CAP_DAC_READ_SEARCH)
