"""A stream for the session's log: whatever sys.stderr is at the moment, so that pytest shows it with the right test."""

import io
import sys


class CurrentStderr(io.TextIOBase):
    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return False
