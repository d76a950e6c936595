"""rspamd, a spam filter that many mail servers run: its rules about headers and MIME, without the network."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.support.interop import find_program, listening
from tests.support.smtp_peer import free_port

_CONFIG = """
lua = "$RULESDIR/rspamd.lua"
.include "$CONFDIR/metrics.conf"
modules {{ path = "$PLUGINSDIR/mime_types.lua"; }}
.include "$CONFDIR/modules.d/mime_types.conf"
options {{
  filters = "chartable,regexp";
  pidfile = "{folder}/pid";
  temp_dir = "{folder}";
  disable_hyperscan = true;
  dns {{ timeout = 0.05s; retransmits = 1; nameserver = "127.0.0.1:{dead}"; }}
}}
logging {{ type = "file"; filename = "{folder}/log"; level = "warning"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""


@dataclass(frozen=True)
class Rspamd:
    port: int

    async def symbols(self, body: bytes) -> set[str]:
        """The names of all rules that match."""
        command = [find_program("rspamc"), "-h", f"127.0.0.1:{self.port}", "--json", "symbols"]
        done = await anyio.run_process(command, input=body, check=True)
        found: dict[str, object] = json.loads(done.stdout)["symbols"]
        return set(found)


@asynccontextmanager
async def rspamd() -> AsyncIterator[Rspamd]:
    program = find_program("rspamd")
    with tempfile.TemporaryDirectory(prefix="rspamd-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        port = free_port()
        config = folder / "rspamd.conf"
        config.write_text(_CONFIG.format(folder=folder, port=port, dead=free_port()))
        command = [program, "-f", "-i", "-c", str(config)]
        async with await anyio.open_process(command, stdout=None, stderr=None) as process:
            try:
                await listening(port)
                yield Rspamd(port)
            finally:
                process.terminate()
