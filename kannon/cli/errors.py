"""Errors that end a command: one line for each problem on standard error and an exit code, never a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kannon.errors import KannonError, OperatorError, Unavailable

EX_UNAVAILABLE = 69  # sysexits.h
EX_NOPERM = 77


@contextmanager
def operator_errors() -> Iterator[None]:
    """Around a command's work."""
    try:
        yield
    except OperatorError as error:
        raise _exit(error, error.exit_code) from None
    except Unavailable as error:
        raise _exit(error, EX_UNAVAILABLE) from None
    except PermissionError as error:
        if not error.filename:
            raise
        denied = KannonError(f"{os.fsdecode(error.filename)}: {error.strerror} (run it as the user of kannon serve)")
        raise _exit(denied, EX_NOPERM) from None


def _exit(error: KannonError, code: int) -> typer.Exit:
    for line in str(error).splitlines():
        print(f"kannon: {line}", file=sys.stderr)
    return typer.Exit(code)
