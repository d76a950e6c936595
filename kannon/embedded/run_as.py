"""The user that the child servers run as. PostgreSQL does not run as root: under root they get an unprivileged user.

In: the directory that a child will own, and the paths it must reach. Out: `RunAs`, or None where Kannon is not root.
Data and programs may be below a directory that only root can enter (/root). Kannon does not chmod it: the child then
keeps one capability that lets it pass, and no other privilege of root.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kannon.errors import OperatorError

# capabilities(7), by number
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_CAP_SETGID = 6
_CAP_SETUID = 7

_NAMES = ("kannon", "nobody")


@dataclass(frozen=True)
class RunAs:
    """An unprivileged user, and the capability it must keep to reach its files (None: mode bits suffice)."""

    uid: int
    gid: int
    capability: int | None = None


def choose_run_as(owned: Path, must_reach: Iterable[Path]) -> RunAs | None:
    """The user for a child whose data is `owned`: its owner unless that is root, else `kannon`, else `nobody`.

    None where this process is not root: children then run as the same user. Raises OperatorError where root may not
    change its user (a container without CAP_SETUID), or the user cannot reach the files.
    """
    if os.geteuid() != 0:
        return None
    held = _permitted_capabilities()
    if not {_CAP_SETUID, _CAP_SETGID} <= held:
        raise OperatorError(
            "root here may not change its user, and PostgreSQL does not run as root: start Kannon as another user"
        )
    user = _find_user(owned)
    run_as = RunAs(user.pw_uid, user.pw_gid)
    closed = [path for path in must_reach if not _can_reach(run_as, path)]
    if not closed:
        return run_as
    # Docker's default set has only the second, wider one.
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if capability in held:
            return RunAs(user.pw_uid, user.pw_gid, capability)
    raise OperatorError(
        f"{closed[0]} cannot be reached by the user {user.pw_name}: choose another data_dir or start as another user"
    )


def give_to(run_as: RunAs | None, directory: Path) -> None:
    """Creates `directory` (0700) and chowns it, with its content if root owned it (a restored backup)."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if run_as is None or directory.stat().st_uid == run_as.uid:
        return
    for folder, _, files in os.walk(directory):
        os.chown(folder, run_as.uid, run_as.gid)
        for name in files:
            os.chown(os.path.join(folder, name), run_as.uid, run_as.gid, follow_symlinks=False)  # noqa: PTH118


def _find_user(owned: Path) -> pwd.struct_passwd:
    if owned.exists() and (uid := owned.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(uid)
        except KeyError:
            raise OperatorError(
                f"{owned} belongs to user id {uid}, which has no name on this machine: chown it to a user"
            ) from None
    for name in _NAMES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OperatorError(f"PostgreSQL does not run as root, and there is no user {' or '.join(_NAMES)}: create one")


def _can_reach(run_as: RunAs, path: Path) -> bool:
    return all(_may_enter(run_as, parent.stat()) for parent in path.resolve().parents)


def _may_enter(run_as: RunAs, status: os.stat_result) -> bool:
    if status.st_uid == run_as.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == run_as.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _permitted_capabilities() -> frozenset[int]:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            mask = int(line.split()[1], 16)
            return frozenset(number for number in range(mask.bit_length()) if mask >> number & 1)
    return frozenset()
