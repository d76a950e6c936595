"""An SMTP server with STARTTLS that accepts everything, for the benchmark: `python -m tests.support.tls_sink PORT`."""

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.support.certificates import make_authority
from tests.support.smtp_peer import Peer, Visit, serving


class Forgetful(Peer):
    """Stores nothing that it saw."""

    async def _answer(self, visit: Visit, command: str) -> None:
        await super()._answer(visit, command)
        self.mails.clear()
        self.commands.clear()
        self.recipients.clear()
        self.arrivals.clear()


async def main(port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        peer = Forgetful(tls=make_authority(Path(folder)).issue("localhost"))
        async with serving(peer, port=port):
            await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
