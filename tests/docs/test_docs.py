"""The documents agree with the code."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def sources() -> str:
    return "\n".join(
        p.read_text() for p in sorted((ROOT / "kannon").rglob("*.py")) if "pb" not in p.relative_to(ROOT).parts
    )


def test_the_list_of_standards_is_that_of_the_source() -> None:
    named = set(re.findall(r"RFC (\d{4})", sources()))
    rows = re.findall(r"^\| RFC (\d+) \|.*?\| (yes|partly|no) \|", (ROOT / "docs/rfcs.md").read_text(), re.M)
    obeyed = {number for number, how in rows if how != "no"}
    assert named == obeyed
    assert [number for number, _ in rows] == sorted((number for number, _ in rows), key=int)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs/dependencies.md").read_text()
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name = re.split(r"[>=; ]", requirement)[0]
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), f"{name} is not in docs/dependencies.md"


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for path in re.findall(r"`((?:kannon|sql|proto|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_module_begins_with_a_docstring() -> None:
    bare = [
        str(p.relative_to(ROOT))
        for p in sorted((ROOT / "kannon").rglob("*.py"))
        if not p.read_text().startswith('"""')
        if "pb" not in p.relative_to(ROOT).parts
    ]
    assert bare == []


def test_no_file_is_long() -> None:
    long = {
        str(p.relative_to(ROOT)): lines
        for p in sorted((ROOT / "kannon").rglob("*.py"))
        if "pb" not in p.relative_to(ROOT).parts
        if (lines := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_every_link_of_the_documents_has_a_target() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
