"""The servers' programs in the single executable: unpacked once per version into data_dir/runtime/<version>.

In: the bundle's `servers.tar.gz` and `servers.json` (the SHA-256 of each file in it). Out: a folder with intact files.
Every start checks them by hash: where one is incomplete or damaged, the archive is unpacked again beside the folder,
and a rename replaces it. An older version's folder is deleted, unless PostgreSQL's data still needs its PostgreSQL.
Raises OperatorError where the files cannot be written or executed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kannon.embedded.data_dir import hand_over
from kannon.errors import OperatorError

MANIFEST = "servers.json"
_ARCHIVE = "servers.tar.gz"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds: `files` maps a path in it to its SHA-256."""

    version: str
    postgres: int
    files: Mapping[str, str]


def unpack(bundle: Path, data_dir: Path, part: str) -> Path:
    """The folder below `data_dir` in which all files of `part` (a prefix of their names) are those of `bundle`."""
    manifest = read_manifest(bundle)
    place = data_dir / "runtime" / manifest.version
    try:
        _refuse_noexec(data_dir)
        with _locked(place.parent):
            if not _is_intact(place, manifest, part):
                _replace(place, bundle, manifest)
                _remove_others(place, _needed_major(data_dir))
    except OSError as error:
        raise OperatorError(f"{place} cannot be unpacked: {error.strerror}") from None
    return place


def find_major(data_dir: Path, major: int) -> Path | None:
    """A folder that an earlier version left in `data_dir`, whose PostgreSQL has this major version and is intact."""
    for place in sorted((data_dir / "runtime").glob("*/")):
        try:
            manifest = read_manifest(place)
        except OperatorError:
            continue
        if manifest.postgres == major and _is_intact(place, manifest, ""):
            return place
    return None


def read_manifest(folder: Path) -> Manifest:
    """Raises OperatorError."""
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError, TypeError):
        raise OperatorError(f"{folder} holds no servers: {MANIFEST} is missing or damaged") from None


def _refuse_noexec(data_dir: Path) -> None:
    if os.statvfs(data_dir).f_flag & os.ST_NOEXEC:
        raise OperatorError(
            f"data_dir {data_dir} is on a file system mounted noexec, where the embedded servers cannot run: "
            "choose another data_dir, or set postgres.url and nats.url"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time checks and unpacks; a `kannon backup` may run while `kannon serve` starts."""
    _make_folder(folder)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        hand_over(folder / ".lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _is_intact(place: Path, manifest: Manifest, part: str) -> bool:
    for name, digest in manifest.files.items():
        if name.startswith(part):
            try:
                with (place / name).open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return False
            if found != digest:
                return False
    return (place / MANIFEST).exists()


def _replace(place: Path, bundle: Path, manifest: Manifest) -> None:
    fresh, old = place.with_name(f"{place.name}.new"), place.with_name(f"{place.name}.old")
    _remove(fresh)
    try:
        _unpack_into(fresh, bundle, manifest)
    except BaseException:
        _remove(fresh)
        raise
    _remove(old)
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    _remove(old)


def _unpack_into(fresh: Path, bundle: Path, manifest: Manifest) -> None:
    """No fsync: after a power cut the next start finds the damage and unpacks again."""
    _make_folder(fresh)
    missing = dict(manifest.files)
    with tarfile.open(bundle / _ARCHIVE, "r:gz") as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            data = file.read() if file is not None else b""
            if missing.pop(entry.name, None) != hashlib.sha256(data).hexdigest():
                raise OperatorError(f"{entry.name} in this executable is damaged: copy the executable again")
            target = fresh / entry.name
            _make_folder(target.parent)
            _write(target, data, entry.mode)
    if missing:
        raise OperatorError(f"{next(iter(missing))} is missing from this executable: copy the executable again")
    _write(fresh / MANIFEST, (bundle / MANIFEST).read_bytes(), 0o644)


def _make_folder(folder: Path) -> None:
    """Readable for the user that the servers run as, whatever the umask."""
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)
    hand_over(folder)


def _write(file: Path, data: bytes, mode: int) -> None:
    file.write_bytes(data)
    file.chmod(mode)
    hand_over(file)


def _needed_major(data_dir: Path) -> int | None:
    """The major version of the existing data."""
    try:
        return int((data_dir / "postgres" / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


def _remove_others(place: Path, needed: int | None) -> None:
    ours = read_manifest(place).postgres
    for other in place.parent.glob("*/"):
        if other == place:
            continue
        try:
            needs_it = needed != ours and read_manifest(other).postgres == needed
        except OperatorError:
            needs_it = False
        if not needs_it:
            _remove(other)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
