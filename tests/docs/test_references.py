"""Dotted names and paths in comments, docstrings and documents name things that exist."""

import importlib
import re
import subprocess
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# NATS subjects and protobuf services also begin with `kannon.`.
OTHER = re.compile(
    r"kannon\.(sending|bounce|wake|ask|stats|tls_results"
    r"|parked|admin\.v1|mailer\.v1|StatsApiV1|_domainkey|toml|js|service|rules|dashboard|sysusers|env|sql|create_domain)"
)
DOTTED = re.compile(r"(?<![\w.@/-])kannon(?:\.[A-Za-z_]\w*)+")
PATHS = re.compile(r"(?<![\w./-])(?:kannon|tests|sql|docs|tools|packaging|proto)/[\w./-]*\w(?![\w*…])")


@cache
def prose() -> list[tuple[str, str]]:
    """Each file's name and its prose: comments and multi-line strings of the code, documents without code blocks."""
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    found = []
    for name in listed:
        path = ROOT / name
        if not path.is_file() or name.startswith("kannon/pb/"):
            continue
        if name.endswith(".py"):
            with tokenize.open(path) as file:
                tokens = list(tokenize.generate_tokens(file.readline))
            found += [
                (name, token.string)
                for token in tokens
                if token.type == tokenize.COMMENT
                or (token.type == tokenize.STRING and token.string.lstrip("rf").startswith('"""'))
            ]
        elif name.endswith(".md"):
            found.append((name, re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)))
        elif name.endswith(".sql"):
            found += [(name, line) for line in re.findall(r"--.*", path.read_text())]
    return found


@cache
def exists(dotted: str) -> bool:
    """Whether `dotted` is a module, or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:length])
        if not (folder.with_suffix(".py").is_file() or (folder / "__init__.py").is_file() or folder.is_dir()):
            continue
        if length == len(parts):
            return True
        found: object = importlib.import_module(".".join(parts[:length]))
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_every_dotted_name_exists() -> None:
    wrong = [
        f"{path}: {name}"
        for path, text in prose()
        for name in DOTTED.findall(text)
        if not OTHER.match(name) and not exists(name)
    ]
    assert wrong == []


def test_every_path_exists() -> None:
    wrong = [
        f"{path}: {name}"
        for path, text in prose()
        for name in PATHS.findall(text)
        if "NNNN" not in name
        and not (ROOT / name).exists()
        and not list((ROOT / name).parent.glob(f"{(ROOT / name).name}*"))
    ]
    assert wrong == []


@pytest.mark.parametrize(("name", "there"), [("kannon.mail.event", True), ("kannon.smtp.site", False)])
def test_the_check_tells_existing_from_missing_names(name: str, there: bool) -> None:
    assert exists(name) is there
