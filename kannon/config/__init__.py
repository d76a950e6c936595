"""The configuration of a process, read once and validated.

secret_files.py  secrets in files, and files that every user can read
load.py        reads `kannon.toml`, KANNON_… variables and secret files, and returns a `Config`
model.py       `Config`: a section for each table, with its defaults
values.py      the kinds of values, how each is parsed, checked and printed
tls_files.py   checks that the TLS files can be loaded
warnings.py    what works, but not as the operator may expect

All problems are reported at once, each with its key (ConfigError, exit code 78). No other module reads the environment.
"""

from kannon.config.load import find_config, load_config
from kannon.config.model import (
    COMPONENTS,
    Api,
    Bump,
    Components,
    Config,
    Disk,
    Dispatcher,
    Dns,
    Limit,
    Log,
    Message,
    Metrics,
    Nats,
    Postgres,
    Retry,
    Route,
    Runner,
    Sender,
    Smtp,
    Stats,
    Submission,
    Suppression,
    Tracking,
)
from kannon.config.tls_files import check_tls_files
from kannon.config.values import parse_duration, parse_size, reserve_bytes, show_duration, show_size, split_listen
from kannon.config.warnings import find_warnings

__all__ = [
    "COMPONENTS",
    "Api",
    "Bump",
    "Components",
    "Config",
    "Disk",
    "Dispatcher",
    "Dns",
    "Limit",
    "Log",
    "Message",
    "Metrics",
    "Nats",
    "Postgres",
    "Retry",
    "Route",
    "Runner",
    "Sender",
    "Smtp",
    "Stats",
    "Submission",
    "Suppression",
    "Tracking",
    "check_tls_files",
    "find_config",
    "find_warnings",
    "load_config",
    "parse_duration",
    "parse_size",
    "reserve_bytes",
    "show_duration",
    "show_size",
    "split_listen",
]
