"""The children's log files: rotated once at each start, and read back for the one line that says why a start failed.

In: data_dir/logs/<server>.log. Out: the offset where this start begins, and the most telling line after it.
"""

from pathlib import Path

_ROTATE_BYTES = 8 << 20
_FULL = "No space left on device"  # what follows from it is not what the operator must know
_TELLING = ("FATAL:", "PANIC:", "[FTL]", "error:", "[ERR]", "ERROR:")


def begin(log: Path) -> int:
    """Moves a large log aside (one old one is kept) and returns where new lines will begin."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size < _ROTATE_BYTES:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0


def last_problem(log: Path, start: int) -> str:
    """The last line after `start` that reports a full disk, else a failure, else the last line of all, else ""."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in _TELLING)]
    full = [line for line in lines if _FULL in line]
    return (full or telling or lines or [""])[-1]
