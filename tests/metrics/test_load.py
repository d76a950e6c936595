"""The use of a core by a process and its workers, from /proc."""

import os
import subprocess
import sys
import time

from kannon.metrics.load import Load

_BUSY = """
import sys, time
print(flush=True)
sys.stdin.readline()
end = time.process_time() + 0.3
while time.process_time() < end: pass
print(flush=True)
sys.stdin.readline()
"""


def test_the_busiest_of_a_process_and_its_children_counts() -> None:
    load = Load()
    command = [sys.executable, "-c", _BUSY, "--multiprocessing-fork"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        assert load.measure([os.getpid()], 0.0) == 0.0
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        # By the child's own clock it has used 0.3 s: of one second, whatever the wall says.
        assert 0.25 <= load.measure([os.getpid()], 1.0) < 1.0
        assert load.measure([os.getpid(), child.pid], 2.0) < 0.25
        child.stdin.write(b"\n")


def test_a_process_that_is_gone_is_idle() -> None:
    load = Load()
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert load.measure([child.pid], time.monotonic()) == 0.0
    assert load.measure([child.pid], time.monotonic() + 1) == 0.0
