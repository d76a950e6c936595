"""What `kannon serve` says when it is ready: what listens where, where the admin token is, what to type next."""

import gc
import sys
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from kannon.app import Wired
from kannon.config import Config

_WHAT = {"api": "gRPC API", "bump": "opens and clicks (HTTP)", "smtp": "bounces (SMTP)", "metrics": "metrics (HTTP)"}


class Banner:
    """The last component to start; it stands by until the stop."""

    name = "banner"

    def __init__(self, config: Config, data_dir: Path, wired: Wired) -> None:
        self._config = config
        self._data_dir = data_dir
        self._wired = wired

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: later collections need not look at it
        print(self.text(), file=sys.stderr, flush=True)
        task_status.started()
        await stop.wait()

    def text(self) -> str:
        config = self._config
        postgres = "external" if config.postgres.url else f"embedded, in {self._data_dir}/postgres"
        nats = "external" if config.nats.url else f"embedded, in {self._data_dir}/nats"
        lines = [f"Kannon is ready: {', '.join(self._wired.components)}.", f"  PostgreSQL {postgres}; NATS {nats}"]
        for name, what in _WHAT.items():
            if addresses := self._wired.addresses(name):
                lines.append(f"  {what} on {', '.join(show_address(*address) for address in addresses)}")
        if "api" in self._wired.components:
            if config.api.admin_token.get_secret_value():
                lines.append("  admin token: api.admin_token of the configuration")
            else:
                lines.append(f"  admin token: in {self._data_dir}/admin_token (the kannon command finds it there)")
            lines.append("Next: kannon domains add example.com && kannon keys create example.com")
        return "\n".join(lines)


def show_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
