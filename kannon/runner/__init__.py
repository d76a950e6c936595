"""runner: starts the components of a process, restarts each alone when it fails, and stops them in two steps.

runner.py        the order, the restarts, the stop, what systemd is told
unit.py          a component, its state, a layer of components
backoff.py       the wait before a restart
failures.py      what ended a component
environment.py   clock, signals and exit, which tests replace
"""
