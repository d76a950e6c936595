"""Runs many commands in one process, each into files or at a pseudo-terminal: a process for each costs more than most.

`async with many_commands(folder) as run:` `await run(arguments, env, columns=80)`. Run as
`python -m tests.support.many_commands`, this module is the process: a line of JSON in, a line of JSON out.
"""

import fcntl
import json
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

ROOT = Path(__file__).resolve().parent.parent.parent
_LINES = 50
_MAX_OUTPUT = 1 << 20
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True)
class Shown:
    """Of a terminal, `out` is all that it shows and `err` is empty."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """`out` without colours."""
        return _ESCAPES.sub("", self.out).replace("\r\n", "\n")


class ManyCommands:
    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def __call__(self, arguments: Sequence[str], env: Mapping[str, str], *, columns: int = 0) -> Shown:
        """`columns` 0: into files."""
        request = {"arguments": list(arguments), "env": dict(env), "columns": columns}
        await self._stdin.send(json.dumps(request).encode() + b"\n")
        return Shown(**json.loads(await self._stdout.receive_until(b"\n", _MAX_OUTPUT)))


@asynccontextmanager
async def many_commands(folder: Path) -> AsyncIterator[ManyCommands]:
    command = [sys.executable, "-m", "tests.support.many_commands"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("KANNON_")}
    env |= {"PYTHONPATH": str(ROOT)}
    async with await anyio.open_process(command, cwd=folder, env=env, stderr=None) as process:
        yield ManyCommands(process)
        assert process.stdin is not None
        await process.stdin.aclose()
        await process.wait()


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    requests = os.fdopen(os.dup(0), "r")
    for line in requests:
        request = json.loads(line)
        os.environ.clear()
        os.environ.update(environ | {"TERM": "xterm-256color"} | request["env"])
        run = _at_terminal if request["columns"] else _into_files
        code, out, err = run(request["arguments"], request["columns"])
        answers.write(json.dumps({"code": code, "out": out, "err": err}) + "\n")
        answers.flush()


def _into_files(arguments: Sequence[str], _: int) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open() as nothing:
        code = _run(arguments, (nothing.fileno(), out.fileno(), err.fileno()))
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return code, texts[0], texts[1]


def _at_terminal(arguments: Sequence[str], columns: int) -> tuple[int, str, str]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
    pieces: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, pieces))
    reader.start()
    try:
        code = _run(arguments, (theirs, theirs, theirs))
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return code, b"".join(pieces).decode(), ""


def _read(terminal: int, pieces: list[bytes]) -> None:
    """Until all descriptors of the other side are closed, which Linux reports as EIO."""
    try:
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    except OSError:
        pass


def _run(arguments: Sequence[str], stdio: Sequence[int]) -> int:
    kept = [os.dup(number) for number in range(3)]
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        for number, descriptor in enumerate(stdio):
            os.dup2(descriptor, number)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        sys.argv = ["kannon", *arguments]
        return _exit_code(_main())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _main() -> Callable[[], None]:
    from kannon.cli import main

    return main


def _exit_code(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as ended:
        code: Any = ended.code
        return code if isinstance(code, int) else int(code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
