"""`kannon install`: installs this executable as a systemd service (Debian, Fedora and others).

In: the running executable. Out: program, unit, manual pages, user, configuration and data directory, and one line for
each. A second run keeps what is up to date, so that it also upgrades. Refuses (exit code 1, one line) without root,
without systemd, and if a package of the distribution is installed. Never overwrites kannon.toml and the credentials;
settings of the unit belong in a drop-in.
"""

import filecmp
import os
import shutil
import stat
from pathlib import Path
from typing import Annotated

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.install.install_paths import ACCOUNT, Bundle, InstallPaths, run
from kannon.errors import OperatorError

CONFIG_MODE = 0o640
"""kannon.toml may hold a smarthost's password: root writes it, the group kannon reads it."""
RootOption = Annotated[Path, typer.Option("--root", help="Use this directory as the root of the file system.")]


def install(root: RootOption = Path("/")) -> None:
    """Install this executable as a systemd service."""
    with operator_errors():
        paths, bundle = InstallPaths(root.absolute()), Bundle.find()
        try:
            _install(paths, bundle)
        except OSError as error:
            raise OperatorError(f"{error.filename or paths.root} cannot be written: {error.strerror}") from None


def _install(paths: InstallPaths, bundle: Bundle) -> None:
    check_root(paths)
    if paths.packaged_unit.exists():
        raise OperatorError(f"a package of the distribution is installed ({paths.packaged_unit}): remove it first")
    _make_user(paths, bundle)
    _install_program(paths, bundle)
    unit = (bundle.files / "kannon.service").read_text().replace("/usr/bin/kannon", "/usr/local/bin/kannon")
    _write(paths.unit, unit, 0o644)
    for name, path in paths.manuals.items():
        _write(path, (bundle.files / name).read_text(), 0o644)
    _make_folder(paths.config.parent, 0o755)
    _make_folder(paths.credentials, 0o700)
    if paths.config.exists():
        typer.echo(f"kept {paths.config}")
    else:
        text = (bundle.files / "kannon.toml.example").read_text()
        _write(paths.config, text.replace('"./kannon-data"', '"/var/lib/kannon"'), CONFIG_MODE)
    restrict(paths.config, _account_of(paths))
    _make_folder(paths.data_dir, 0o700, owner=_account_of(paths))
    next_step = "systemctl enable --now kannon"
    if systemd_runs(paths):
        run("systemctl", "daemon-reload")
        if run("systemctl", "--quiet", "is-active", "kannon"):
            next_step = "systemctl restart kannon"
    typer.echo(f"Next: {next_step}")


def check_root(paths: InstallPaths) -> None:
    """Raises OperatorError."""
    if os.geteuid() != 0:
        raise OperatorError("run this as root")
    if not (paths.root / "usr/lib/systemd/system").is_dir():
        raise OperatorError(f"{paths.root} has no systemd: start kannon serve with another service manager")


def systemd_runs(paths: InstallPaths) -> bool:
    # sd_booted(3)
    return paths.root == Path("/") and Path("/run/systemd/system").is_dir()


def _make_user(paths: InstallPaths, bundle: Bundle) -> None:
    if _account_of(paths) is not None:
        typer.echo(f"kept user {ACCOUNT}")
        return
    done = run("systemd-sysusers", f"--root={paths.root}", str(bundle.files / "kannon.sysusers"))
    if not done or _account_of(paths) is None:
        raise OperatorError(f"the user {ACCOUNT} cannot be created: see the output of systemd-sysusers")
    typer.echo(f"created user {ACCOUNT}")


def _account_of(paths: InstallPaths) -> tuple[int, int] | None:
    try:
        lines = (paths.root / "etc/passwd").read_text().splitlines()
    except FileNotFoundError:
        return None
    for fields in (line.split(":") for line in lines):
        if fields[0] == ACCOUNT and len(fields) > 3:
            return int(fields[2]), int(fields[3])
    return None


def _install_program(paths: InstallPaths, bundle: Bundle) -> None:
    program = paths.program
    if program.exists() and (bundle.program.samefile(program) or _same_tree(bundle.program, program)):
        typer.echo(f"kept {program}")
    else:
        program.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh, old = program.with_name(f"{program.name}.new"), program.with_name(f"{program.name}.old")
        for leftover in (fresh, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        shutil.copytree(bundle.program, fresh, symlinks=True)
        replaced = program.exists()
        if replaced:
            program.rename(old)  # a running service keeps its open files
        fresh.rename(program)
        if replaced:
            shutil.rmtree(old)
        typer.echo(f"{'replaced' if replaced else 'wrote'} {program}")
    target = Path("../libexec/kannon/kannon")
    if not paths.command.is_symlink() or paths.command.readlink() != target:
        if paths.command.is_dir():
            raise OperatorError(f"{paths.command} is a directory: remove it")
        paths.command.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        paths.command.unlink(missing_ok=True)
        paths.command.symlink_to(target)
        typer.echo(f"wrote {paths.command}")


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


def restrict(config: Path, account: tuple[int, int] | None) -> None:
    """Other users may not read it, whatever mode it had."""
    mode = stat.S_IMODE(config.stat().st_mode)
    if account is not None and config.stat().st_gid != account[1]:
        os.chown(config, -1, account[1])
    if mode & ~CONFIG_MODE:
        config.chmod(mode & CONFIG_MODE | stat.S_IRGRP)
        typer.echo(f"other users can no longer read {config}")


def _make_folder(folder: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    if folder.exists():
        typer.echo(f"kept {folder}")
        return
    folder.mkdir(mode=mode, parents=True)
    folder.chmod(mode)
    if owner is not None:
        os.chown(folder, *owner)
    typer.echo(f"created {folder}")
