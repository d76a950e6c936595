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
# A subject of the bus that other versions use, and the name of a system account.
ALLOWED = ("kannon.postponed", '"nobody"', "`nobody`")
PENDING: list[str] = [
    "kannon/bus/connection.py",
    "kannon/bus/consume.py",
    "kannon/bus/gather.py",
    "kannon/bus/streams.py",
    "kannon/components/api/arguments.py",
    "kannon/components/api/bodies.py",
    "kannon/components/api/calls.py",
    "kannon/components/api/cancel_worker.py",
    "kannon/components/api/component.py",
    "kannon/components/api/dkim.py",
    "kannon/components/api/operations.py",
    "kannon/components/bump/app.py",
    "kannon/components/bump/keys.py",
    "kannon/components/dispatcher/dispatcher.py",
    "kannon/components/metrics/__init__.py",
    "kannon/components/metrics/component.py",
    "kannon/components/metrics/gauges.py",
    "kannon/components/smtp/component.py",
    "kannon/components/smtp/handler.py",
    "kannon/components/smtp/limits.py",
    "kannon/components/smtp/postmaster.py",
    "kannon/components/smtp/session.py",
    "kannon/db/cancellations.py",
    "kannon/db/dkim_keys.py",
    "kannon/db/keys.py",
    "kannon/db/pauses.py",
    "kannon/db/queue.py",
    "kannon/db/restore.py",
    "kannon/db/stats_write.py",
    "kannon/embedded/backup.py",
    "kannon/embedded/child.py",
    "kannon/embedded/postgres.py",
    "kannon/embedded/run_as.py",
    "kannon/embedded/server.py",
    "kannon/metrics/null_metrics.py",
    "kannon/metrics/series.py",
]


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
        if not (name := str(path.relative_to(ROOT))).startswith("kannon/pb/") and name not in PENDING
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
