"""Where an installed Kannon lies on a machine, and what it consists of.

In: a root directory (normally /). Out: paths below it. `kannon install` and `kannon uninstall` share it; the Debian
package uses the same places under /usr, with the system's own tools.
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
    """`root` is the machine; programs go below /usr/local."""

    root: Path

    @property
    def program(self) -> Path:
        """The unpacked executable. Below libexec, whose files SELinux lets systemd start."""
        return self.root / "usr/local/libexec/kannon"

    @property
    def command(self) -> Path:
        return self.root / "usr/local/bin/kannon"

    @property
    def unit(self) -> Path:
        return self.root / "etc/systemd/system/kannon.service"

    @property
    def packaged_unit(self) -> Path:
        """Where a package of the distribution has its unit."""
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
    """The running executable: `program` is its folder, `files` what it brings for an installation."""

    program: Path
    files: Path

    @classmethod
    def find(cls) -> "Bundle":
        """Raises OperatorError where this is no executable."""
        inside = getattr(sys, "_MEIPASS", None)  # set by PyInstaller's loader
        if not inside:
            raise OperatorError("only the single executable can install itself: make dist builds it")
        return cls(Path(sys.executable).parent, Path(inside) / "install")


def run(*command: str) -> bool:
    """A program of the system, with its own libraries rather than the executable's. Whether it succeeded."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    try:
        return subprocess.run(command, env=environment).returncode == 0
    except OSError as error:
        raise OperatorError(f"{command[0]} cannot be started: {error.strerror}") from None
