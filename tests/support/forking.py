"""Runs commands in processes that need not import Kannon: each is forked from a process that has imported it.

In: arguments, folder and environment, as for any process. Out: the exit code, standard output and error. Run as
`python -m tests.support.forking FD`, this module is the process that forks; it ends with its parent.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_MAX_REQUEST = 1 << 20


@cache
def forker() -> "Forker":
    """One forker per test process, started at the first use."""
    return Forker()


class Forker:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST)
        with theirs:
            argv = [sys.executable, "-m", "tests.support.forking", str(theirs.fileno())]
            self._process = subprocess.Popen(argv, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def run(self, arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], stdio: Sequence[int]) -> int:
        """Runs `kannon` with these arguments, until it ends. `stdio` are its descriptors 0, 1 and 2."""
        reply, theirs = socket.socketpair()
        with reply:
            with theirs:
                request = {"arguments": list(arguments), "folder": str(folder), "env": dict(env)}
                socket.send_fds(self._control, [json.dumps(request).encode()], [*stdio, theirs.fileno()])
            answer = reply.recv(16)
        assert answer, "the process that forks has ended"
        return int(answer)


def serve(control: socket.socket) -> None:
    """Forks for every request until the peer closes the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing asks how a keeper ended
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MAX_REQUEST, 4)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _keep(json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(request: Any, descriptors: list[int]) -> None:
    """Starts the command, waits for it and replies with its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *stdio, reply = descriptors
    command = os.fork()
    if command == 0:
        os.close(reply)
        _become(request, stdio)
    for descriptor in stdio:
        os.close(descriptor)
    _, status = os.waitpid(command, 0)
    os.write(reply, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: Any, stdio: list[int]) -> None:
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number)
        os.close(descriptor)
    code = 1
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["kannon", *request["arguments"]]
        code = _call()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _call() -> int:
    """The exit code that the interpreter would derive from SystemExit."""
    from kannon.cli import main

    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _import_commands() -> None:
    cli = importlib.import_module("kannon.cli")
    for module in pkgutil.walk_packages(cli.__path__, "kannon.cli."):
        importlib.import_module(module.name)
    gc.freeze()


if __name__ == "__main__":
    _import_commands()
    serve(socket.socket(fileno=int(sys.argv[1])))
