"""`kannon serve`: runs Kannon, or some of its components, in this process.

In: configuration and flags. Out: exit code 0 after a requested stop, 78 for a wrong configuration, 1 for any other
error that the operator must correct, each with one line on standard error.
"""

import os
import resource
from typing import Annotated

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import COMPONENTS, Config, check_tls_files, find_config, find_warnings, load_config
from kannon.errors import ConfigError

OPEN_FILES = 65_536  # the same as LimitNOFILE in packaging/kannon.service


def serve(
    config: ConfigOption = None,
    only: Annotated[
        str, typer.Option(help=f"Comma-separated components to run in this process: {', '.join(COMPONENTS)}.")
    ] = "",
    migrate: Annotated[bool, typer.Option("--migrate", help="Migrate an external database first.")] = False,
    process: Annotated[int, typer.Option(hidden=True, help="Its number, where kannon serve has started it.")] = 0,
) -> None:
    """Run Kannon. Without postgres.url and nats.url it starts its own PostgreSQL and NATS."""
    with operator_errors():
        if process:
            _serve_further()
            return
        settings = load_config(config)
        enabled = _enabled(settings, only)
        check_tls_files(settings, enabled)
        _serve(settings, enabled, find_warnings(find_config(config), settings), migrate=migrate)


def _enabled(config: Config, only: str) -> list[str]:
    names = [name.strip() for name in only.split(",") if name.strip()] if only else list(config.components.enabled)
    known = ", ".join(COMPONENTS)
    if unknown := [name for name in names if name not in COMPONENTS]:
        raise ConfigError(f"--only: unknown component {', '.join(unknown)}; the components are {known}")
    if not names:
        raise ConfigError(f"--only: empty; the components are {known}")
    return [name for name in COMPONENTS if name in names]


def _serve(config: Config, enabled: list[str], warnings: list[str], *, migrate: bool) -> None:
    # Late imports: `kannon version` and the client commands start faster without the servers' libraries.
    import structlog

    from kannon.app import wire
    from kannon.cli.server.banner import Banner
    from kannon.embedded import DataDir
    from kannon.log import setup_logging
    from kannon.runner.runner import Runner
    from kannon.runner.unit import State
    from kannon.systemd import Systemd

    setup_logging(config.log.level, config.log.format)
    for warning in warnings:
        structlog.get_logger().warning(warning)
    _allow_open_files()
    embedded = not config.postgres.url or not config.nats.url

    async def run(data_dir: DataDir) -> None:
        def states() -> list[State]:
            return runner.states()  # called for each request to /metrics, when the runner exists

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


def _serve_further() -> None:
    """A further process: see kannon.processes."""
    import structlog

    from kannon.app import wire_further
    from kannon.embedded import DataDir
    from kannon.log import setup_logging
    from kannon.processes import ParentLink, receive_order
    from kannon.runner.runner import Runner
    from kannon.runner.unit import State

    order, end = receive_order()
    setup_logging(order.config.log.level, order.config.log.format)
    structlog.contextvars.bind_contextvars(process=order.number)
    parent = ParentLink(end)

    async def run(data_dir: DataDir) -> None:
        def states() -> list[State]:
            return runner.states()

        layers = await wire_further(order, parent, data_dir, states)
        runner = Runner(layers, stop_seconds=order.config.stop_timeout.total_seconds(), systemd=parent)
        await runner.run()

    with DataDir.open(order.config.data_dir, exclusive=False) as data_dir:
        anyio.run(run, data_dir, backend_options={"use_uvloop": True})


def _allow_open_files() -> None:
    """Raises the soft limit on open files: a shell's 1024 is too low for the connections of one large mailing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
