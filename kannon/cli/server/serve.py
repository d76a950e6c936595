"""`kannon serve`: the whole of Kannon, or some of its components, in this process.

In: configuration and flags. Out: exit code 0 after a stop that was asked for, 78 for a wrong configuration, 1 for any
other fault of the operator's, each with one line on standard error.
"""

import os
import resource
from typing import Annotated

import anyio
import typer

from kannon.cli.errors import operator_faults
from kannon.cli.options import ConfigOption
from kannon.config import COMPONENTS, Config, load_config
from kannon.errors import ConfigError

OPEN_FILES = 65_536  # as in packaging/kannon.service


def serve(
    config: ConfigOption = None,
    only: Annotated[
        str, typer.Option(help=f"Comma-separated components to run in this process: {', '.join(COMPONENTS)}.")
    ] = "",
    migrate: Annotated[bool, typer.Option("--migrate", help="Migrate an external database first.")] = False,
) -> None:
    """Run Kannon. With no configuration it brings its own PostgreSQL and NATS along."""
    with operator_faults():
        settings = load_config(config)
        enabled = _enabled(settings, only)
        _serve(settings, enabled, migrate=migrate)


def _enabled(config: Config, only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()] if only else list(config.components.enabled)
    if unknown := [name for name in names if name not in COMPONENTS]:
        raise ConfigError(f"--only: no component is called {', '.join(unknown)}; there are {', '.join(COMPONENTS)}")
    if not names:
        raise ConfigError("--only: no component is named")
    return [name for name in COMPONENTS if name in names]


def _serve(config: Config, enabled: list[str], *, migrate: bool) -> None:
    # Imported here: `kannon version` and the client commands start faster without the servers' libraries.
    from kannon.app import wire
    from kannon.cli.server.banner import Banner
    from kannon.embedded import DataDir
    from kannon.log import setup_logging
    from kannon.runner import Runner, State
    from kannon.systemd import Systemd

    setup_logging(config.log.level, config.log.format)
    _allow_open_files()
    embedded = not config.postgres.url or not config.nats.url

    async def run(data_dir: DataDir) -> None:
        def states() -> list[State]:
            return runner.states()  # asked when somebody reads the metrics, which is after the next lines

        wired = await wire(config, enabled, data_dir, migrate=migrate, states=states)
        banner = Banner(config, data_dir.path, wired)
        runner = Runner(
            [*wired.layers, [banner]],
            stop_seconds=config.stop_timeout.total_seconds(),
            systemd=Systemd.from_environ(os.environ),
        )
        await runner.run()

    with DataDir.open(config.data_dir, exclusive=embedded) as data_dir:
        anyio.run(run, data_dir, backend_options={"use_uvloop": True})


def _allow_open_files() -> None:
    """A shell allows 1024, which the connections of one large mailing are more than; up to the hard limit is ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
