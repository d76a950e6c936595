"""Changes the configuration of a running nats-server as an operator does: the file, then SIGHUP."""

import os
import signal
from pathlib import Path

from kannon.embedded import EmbeddedNats


def reload_with(server: EmbeddedNats, data_dir: Path, before: str, after: str) -> None:
    """Replaces `before` by `after` in the server's configuration."""
    path = data_dir / "conf" / "nats.conf"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    os.kill(int((data_dir / "nats" / "nats.pid").read_text()), signal.SIGHUP)
