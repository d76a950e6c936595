"""`kannon install`: this executable becomes a service of the machine (Debian, Fedora and others with systemd).

In: the running executable. Out: program, unit, manual pages, user, configuration and data directory in their places,
and a line about each of them; what is there already and right is kept, so it can be run again, also to upgrade.
Refuses (exit code 1, one line) without root, without systemd, and beside a package of the distribution. Nothing of the
operator's is overwritten: kannon.toml and the credentials are his, and settings of the unit belong into a drop-in.
"""

import filecmp
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.install.install_paths import ACCOUNT, Bundle, InstallPaths, run
from kannon.errors import OperatorError

RootOption = Annotated[Path, typer.Option("--root", help="Install below this folder instead of /.")]


def install(root: RootOption = Path("/")) -> None:
    """Install this executable as a systemd service."""
    with operator_errors():
        places, bundle = InstallPaths(root.absolute()), Bundle.find()
        try:
            _install(places, bundle)
        except OSError as error:
            raise OperatorError(f"{error.filename or places.root} cannot be written: {error.strerror}") from None


def _install(places: InstallPaths, bundle: Bundle) -> None:
    check_root(places)
    if places.packaged_unit.exists():
        raise OperatorError(f"a package of the distribution is installed ({places.packaged_unit}): remove it first")
    _make_user(places, bundle)
    _install_program(places, bundle)
    unit = (bundle.files / "kannon.service").read_text().replace("/usr/bin/kannon", "/usr/local/bin/kannon")
    _write(places.unit, unit, 0o644)
    for name, place in places.manuals.items():
        _write(place, (bundle.files / name).read_text(), 0o644)
    _make_folder(places.config.parent, 0o755)
    _make_folder(places.credentials, 0o700)
    if places.config.exists():
        typer.echo(f"kept {places.config}")
    else:
        text = (bundle.files / "kannon.toml.example").read_text()
        _write(places.config, text.replace('"./kannon-data"', '"/var/lib/kannon"'), 0o644)
    _make_folder(places.data_dir, 0o700, owner=_account_of(places))
    next_step = "systemctl enable --now kannon"
    if systemd_runs(places):
        run("systemctl", "daemon-reload")
        if run("systemctl", "--quiet", "is-active", "kannon"):
            next_step = "systemctl restart kannon"
    typer.echo(f"Next: {next_step}")


def check_root(places: InstallPaths) -> None:
    """Raises OperatorError."""
    if os.geteuid() != 0:
        raise OperatorError("only root may do this")
    if not (places.root / "usr/lib/systemd/system").is_dir():
        raise OperatorError(f"{places.root} has no systemd: start kannon serve by other means")


def systemd_runs(places: InstallPaths) -> bool:
    # sd_booted(3)
    return places.root == Path("/") and Path("/run/systemd/system").is_dir()


def _make_user(places: InstallPaths, bundle: Bundle) -> None:
    if _account_of(places) is not None:
        typer.echo(f"kept user {ACCOUNT}")
        return
    done = run("systemd-sysusers", f"--root={places.root}", str(bundle.files / "kannon.sysusers"))
    if not done or _account_of(places) is None:
        raise OperatorError(f"the user {ACCOUNT} cannot be made")
    typer.echo(f"made user {ACCOUNT}")


def _account_of(places: InstallPaths) -> tuple[int, int] | None:
    try:
        lines = (places.root / "etc/passwd").read_text().splitlines()
    except FileNotFoundError:
        return None
    for fields in (line.split(":") for line in lines):
        if fields[0] == ACCOUNT and len(fields) > 3:
            return int(fields[2]), int(fields[3])
    return None


def _install_program(places: InstallPaths, bundle: Bundle) -> None:
    place = places.program
    if place.exists() and (bundle.program.samefile(place) or _same_tree(bundle.program, place)):
        typer.echo(f"kept {place}")
    else:
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh, old = place.with_name(f"{place.name}.new"), place.with_name(f"{place.name}.old")
        for leftover in (fresh, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        shutil.copytree(bundle.program, fresh, symlinks=True)
        replaced = place.exists()
        if replaced:
            place.rename(old)  # a running service keeps the files it has open
        fresh.rename(place)
        if replaced:
            shutil.rmtree(old)
        typer.echo(f"{'replaced' if replaced else 'wrote'} {place}")
    target = Path("../libexec/kannon/kannon")
    if not places.command.is_symlink() or places.command.readlink() != target:
        if places.command.is_dir():
            raise OperatorError(f"{places.command} is a folder, and in the way")
        places.command.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        places.command.unlink(missing_ok=True)
        places.command.symlink_to(target)
        typer.echo(f"wrote {places.command}")


def _same_tree(one: Path, other: Path) -> bool:
    difference = filecmp.dircmp(one, other, ignore=[])
    if difference.left_only or difference.right_only or difference.funny_files:
        return False
    equal = filecmp.cmpfiles(one, other, difference.common_files, shallow=False)[0]
    return len(equal) == len(difference.common_files) and all(
        _same_tree(one / name, other / name) for name in difference.common_dirs
    )


def _write(file: Path, text: str, mode: int) -> None:
    before = file.read_text() if file.exists() else None
    if before == text:
        typer.echo(f"kept {file}")
        return
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(file)
    typer.echo(f"{'wrote' if before is None else 'replaced'} {file}")


def _make_folder(folder: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    if folder.exists():
        typer.echo(f"kept {folder}")
        return
    folder.mkdir(mode=mode, parents=True)
    folder.chmod(mode)
    if owner is not None:
        os.chown(folder, *owner)
    typer.echo(f"made {folder}")
