"""The paths of an installed Kannon, and the files of the executable that are installed.

In: a root directory (normally /). Out: paths below it, for `kannon install` and `kannon uninstall`. The Debian package
uses the same layout below /usr.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kannon.errors import OperatorError

ACCOUNT = "kannon"


@dataclass(frozen=True, slots=True)
class InstallPaths:
    """`root` is the root of the file system. Programs are installed below /usr/local."""

    root: Path

    @property
    def program(self) -> Path:
        """The unpacked executable. SELinux lets systemd start files below libexec."""
        return self.root / "usr/local/libexec/kannon"

    @property
    def command(self) -> Path:
        return self.root / "usr/local/bin/kannon"

    @property
    def unit(self) -> Path:
        return self.root / "etc/systemd/system/kannon.service"

    @property
    def packaged_unit(self) -> Path:
        """The unit of a package of the distribution."""
        return self.root / "usr/lib/systemd/system/kannon.service"

    @property
    def manuals(self) -> dict[str, Path]:
        folder = self.root / "usr/local/share/man"
        return {"kannon.1": folder / "man1/kannon.1", "kannon.toml.5": folder / "man5/kannon.toml.5"}

    @property
    def config(self) -> Path:
        return self.root / "etc/kannon/kannon.toml"

    @property
    def credentials(self) -> Path:
        return self.root / "etc/kannon/credentials"

    @property
    def data_dir(self) -> Path:
        return self.root / "var/lib/kannon"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The running executable: `program` is its directory, `files` are the files to install with it."""

    program: Path
    files: Path

    @classmethod
    def find(cls) -> "Bundle":
        """Raises OperatorError if Kannon does not run from the single executable."""
        inside = getattr(sys, "_MEIPASS", None)  # set by PyInstaller's loader
        if not inside:
            raise OperatorError("only the single executable can install itself: build it with make dist")
        return cls(Path(sys.executable).parent, Path(inside) / "install")


def run(*command: str) -> bool:
    """Runs a program of the system with the system's libraries. Returns whether it succeeded."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    try:
        return subprocess.run(command, env=environment).returncode == 0
    except OSError as error:
        raise OperatorError(f"{command[0]} cannot be started: {error.strerror}") from None
