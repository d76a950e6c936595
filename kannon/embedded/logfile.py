"""The children's log files: rotated at a start, and read for the line with the reason of a failed start.

In: data_dir/logs/<server>.log. Out: the offset where this start begins, and the line after it that explains a failure.
"""

from pathlib import Path

_ROTATE_BYTES = 8 << 20
_FULL = "No space left on device"  # the cause; later errors are its consequences
_FAILURE_WORDS = ("FATAL:", "PANIC:", "[FTL]", "error:", "[ERR]", "ERROR:")


def begin(log: Path) -> int:
    """Rotates a large log (one old file is kept) and returns the offset of the next line."""
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
    failures = [line for line in lines if any(word in line for word in _FAILURE_WORDS)]
    full = [line for line in lines if _FULL in line]
    return (full or failures or lines or [""])[-1]
