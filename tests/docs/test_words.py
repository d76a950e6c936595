"""Each idea has one word, the field's: old words do not come back in the names and the prose of the program.

In: the Python files of kannon/ (names, comments, strings) and the documents. A name such as `give_back_now` or
`NudgeHandler` counts by its parts. `docs/glossary.md` has the words to use.
"""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD_WORDS = re.compile(
    r"\b(crowds?|crowded|nudg(?:e|es|ed|ing)|postpon(?:e|es|ed|ing)|postponements?|ledgers?|doors?|housekeeping"
    r"|strangers?|whoever|nobody|somebody|everybody|anybody|alike|in vain|to be had|mend(?:s|ed|ing)?"
    r"|give back|went well|went badly|unmeasured)\b",
    re.IGNORECASE,
)
# A subject of the bus, which is shared with other versions, and the name of a system account.
ALLOWED = ("kannon.postponed", '"nobody"', "`nobody`")


def old_words(text: str) -> list[str]:
    """In the order of the text."""
    for allowed in ALLOWED:
        text = text.replace(allowed, "")
    return [match.group().lower() for match in OLD_WORDS.finditer(text)]


def parts(name: str) -> str:
    """`give_backNow` → "give back Now"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")


def old_words_of_python(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        f"line {token.start[0]}: {word}"
        for token in tokens
        if token.type != tokenize.NL
        for word in old_words(parts(token.string) if token.type == tokenize.NAME else token.string)
    ]


def test_the_program_uses_the_words_of_the_field() -> None:
    found = {
        name: words
        for path in sorted((ROOT / "kannon").rglob("*.py"))
        if not (name := str(path.relative_to(ROOT))).startswith("kannon/pb/")
        if (words := old_words_of_python(path.read_text()))
    }
    assert found == {}


def test_the_documents_use_the_words_of_the_field() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "kannon.toml.example"]
    documents += [*(ROOT / "docs").glob("*.md"), *(ROOT / "kannon").rglob("*.md")]
    found = {str(path.relative_to(ROOT)): words for path in documents if (words := old_words(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Nudge = NudgeHandler", ["line 1: nudge", "line 1: nudge"]),
        ("def give_back(): ...", ["line 1: give back"]),
        ("x = 1  # for nobody", ["line 1: nobody"]),
        ('x = f"{y} was postponed"', ["line 1: postponed"]),
        ('users = ("kannon", "nobody")', []),
        ('subject = "kannon.postponed"', []),
        ("recommended = doorbell", []),
    ],
)
def test_the_check_finds_old_words(source: str, expected: list[str]) -> None:
    assert old_words_of_python(source + "\n") == expected
