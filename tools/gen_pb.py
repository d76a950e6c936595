"""Regenerates kannon/pb/ from proto/; with --check only compares.

In: proto/kannon/**/*.proto. Out: kannon/pb/**/*_pb2.py, *_pb2.pyi, *_grpc.py, and openapi.py.
Proto paths begin with kannon/, so protoc would write into the kannon package. The script moves its output to kannon/pb/
and changes the imports. The descriptors keep the original file names, which server reflection returns.
"""

import filecmp
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tools.openapi import openapi  # noqa: E402 - a script finds its neighbours only by their folder

PB = ROOT / "kannon" / "pb"
INIT = '"""Generated from proto/ by tools/gen_pb.py; never edited."""\n'


def generate(into: Path) -> None:
    with tempfile.TemporaryDirectory() as raw:
        protos = [str(p) for p in sorted((ROOT / "proto").rglob("*.proto"))]
        builtin = Path(protoc.__file__).parent / "_proto"
        plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-grpclib_python"
        arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{builtin}", f"--plugin=protoc-gen-grpclib_python={plugin}"]
        arguments += [f"--{kind}_out={raw}" for kind in ("python", "pyi", "grpclib_python")]
        described = Path(raw) / "described"
        arguments += [f"--descriptor_set_out={described}", "--include_source_info"]
        if protoc.main(arguments + protos) != 0:
            raise SystemExit("protoc failed")
        for source in sorted(Path(raw).rglob("*.py*")):
            target = into / source.relative_to(Path(raw) / "kannon")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text()
            text = re.sub(r"^(from|import) kannon\.", r"\1 kannon.pb.", text, flags=re.M)
            text = re.sub(r"(?<![\w.])kannon\.(?=[\w.]+_pb2\.)(?!pb\.)", "kannon.pb.", text)
            target.write_text(text)
        document = openapi(FileDescriptorSet.FromString(described.read_bytes()))
        (into / "openapi.py").write_text(f'{INIT}DOCUMENT = r"""{document}"""\n')
        for folder in [into, *(p for p in into.rglob("*") if p.is_dir())]:
            (folder / "__init__.py").write_text(INIT)


def files(root: Path) -> set[Path]:
    return {p.relative_to(root) for p in root.rglob("*.py*") if "__pycache__" not in p.parts}


def main() -> None:
    if "--check" in sys.argv:
        with tempfile.TemporaryDirectory() as fresh:
            generate(Path(fresh))
            names = files(Path(fresh)) | files(PB)
            stale = [n for n in sorted(names) if not (PB / n).exists() or not (Path(fresh) / n).exists()]
            stale += [n for n in sorted(names) if n not in stale and not filecmp.cmp(PB / n, Path(fresh) / n, False)]
            if stale:
                raise SystemExit(f"kannon/pb differs from proto/: {', '.join(map(str, stale))}; run make pb")
    else:
        shutil.rmtree(PB, ignore_errors=True)
        generate(PB)


if __name__ == "__main__":
    main()
