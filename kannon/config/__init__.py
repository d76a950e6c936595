"""The configuration: `kannon.toml` and KANNON_… variables in (load.py), one validated `Config` out (model.py), made of
checked values (values.py).

All faults are reported at once, each with its key (ConfigError, exit code 78). Nobody else in the program reads the
environment.
"""

from kannon.config.load import load_config
from kannon.config.model import (
    COMPONENTS,
    Api,
    Bump,
    Components,
    Config,
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
    Sender,
    Smtp,
    Stats,
    Suppression,
    Tracking,
)
from kannon.config.values import parse_duration, parse_size, show_duration, show_size, split_listen

__all__ = [
    "COMPONENTS",
    "Api",
    "Bump",
    "Components",
    "Config",
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
    "Sender",
    "Smtp",
    "Stats",
    "Suppression",
    "Tracking",
    "load_config",
    "parse_duration",
    "parse_size",
    "show_duration",
    "show_size",
    "split_listen",
]
