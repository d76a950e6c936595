"""The operator's faults end a command with one line on standard error and the fault's exit code; never a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kannon.errors import KannonError, OperatorError, Unavailable

EX_UNAVAILABLE = 69  # sysexits.h


@contextmanager
def operator_errors() -> Iterator[None]:
    """Around a command's work."""
    try:
        yield
    except OperatorError as error:
        raise _exit(error, error.exit_code) from None
    except Unavailable as error:
        raise _exit(error, EX_UNAVAILABLE) from None


def _exit(error: KannonError, code: int) -> typer.Exit:
    for line in str(error).splitlines():
        print(f"kannon: {line}", file=sys.stderr)
    return typer.Exit(code)
