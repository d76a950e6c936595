"""The start banner of `kannon serve`: what listens where, where the admin token is, what to type next.

Out: lines of text on standard error, or one log event where `log.format` is json.
"""

import ctypes
import gc
import sys
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.app import Wired
from kannon.config import Config

log = structlog.get_logger()


class Banner:
    """The last component to start. It prints the banner and waits for the stop."""

    name = "banner"

    def __init__(self, config: Config, data_dir: Path, wired: Wired) -> None:
        self._config = config
        self._data_dir = data_dir
        self._wired = wired

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        gc.collect()
        gc.freeze()  # objects made at start-up live as long as the process, so later collections skip them
        _return_memory()
        if self._config.log.format == "json":
            log.info("Kannon is ready", **self.fields())
        else:
            print(self.text(), file=sys.stderr, flush=True)
        task_status.started()
        await stop.wait()

    def fields(self) -> dict[str, object]:
        """The banner as fields of a log event: each listener under its component's name."""
        config = self._config
        listening = {
            name: [show_address(*address) for address in addresses] for name, _, addresses in self._wired.listeners()
        }
        return {
            "components": list(self._wired.components),
            "postgres": "external" if config.postgres.url else "embedded",
            "nats": "external" if config.nats.url else "embedded",
            "data_dir": str(self._data_dir),
            **listening,
        }

    def text(self) -> str:
        config = self._config
        postgres = "external" if config.postgres.url else f"embedded, in {self._data_dir}/postgres"
        nats = "external" if config.nats.url else f"embedded, in {self._data_dir}/nats"
        lines = [f"Kannon is ready: {', '.join(self._wired.components)}.", f"  PostgreSQL {postgres}; NATS {nats}"]
        for _, label, addresses in self._wired.listeners():
            lines.append(f"  {label} on {', '.join(show_address(*address) for address in addresses)}")
        if "api" in self._wired.components:
            scheme = "https" if config.api.tls_cert else "http"
            lines += [f"  pages: {scheme}://{show_address(*each)}/" for each in self._wired.addresses("api")[:1]]
            if config.api.admin_token.get_secret_value():
                lines.append("  admin token: api.admin_token of the configuration")
            else:
                lines.append(f"  admin token: in {self._data_dir}/admin_token (the kannon command finds it there)")
            lines.append("Next: kannon open, or kannon domains add example.com && kannon keys create example.com")
        return "\n".join(lines)


def _return_memory() -> None:
    """What the start has freed goes back to the system (malloc_trim(3), which glibc has)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def show_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
