"""`kannon suppressions` against a running API, with export and import."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kannon.db.pool import Database
from tests.support.api import TOKEN, RunningApi, running_api
from tests.support.command import Command


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        await api.create_domain("other.example")
        yield api


@pytest.fixture
def kannon(api: RunningApi, tmp_path: Path) -> Command:
    return Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})


async def test_suppressions_are_added_listed_shown_and_removed(kannon: Command) -> None:
    added = await kannon(
        "suppressions", "add", "example.com", "Bob@example.net", "ann@example.net", "--note", "by phone"
    )
    assert (added.code, added.out, added.err) == (0, "2 added\n", "")
    rows = (await kannon("suppressions", "list", "example.com")).rows
    assert [(*r[:3], *r[4:]) for r in rows] == [
        ("ann@example.net", "", "manual", "never", "by phone"),
        ("Bob@example.net", "", "manual", "never", "by phone"),
    ]
    shown = await kannon("suppressions", "show", "example.com", "bob@example.net")
    assert ["reason", "by phone"] in shown.rows
    removed = await kannon("suppressions", "remove", "example.com", "bob@example.net")
    assert (removed.code, removed.out) == (0, "Bob@example.net is removed\n")
    again = await kannon("suppressions", "remove", "example.com", "bob@example.net")
    assert (again.code, again.err) == (1, "kannon: some of these addresses were not suppressed\n")
    missing = await kannon("suppressions", "show", "example.com", "bob@example.net")
    assert (missing.code, missing.err) == (1, 'kannon: email: "bob@example.net" is not suppressed\n')


async def test_an_address_is_suppressed_by_tag(kannon: Command) -> None:
    added = await kannon("suppressions", "add", "example.com", "bob@example.net", "--tag", "the news")
    assert added.out == "1 added\n"
    await kannon("suppressions", "add", "example.com", "bob@example.net", "--tag", "offers")
    tagged = (await kannon("suppressions", "list", "example.com", "--tag", "offers")).rows
    assert [r[:3] for r in tagged] == [["bob@example.net", "offers", "manual"]]
    first = await kannon("suppressions", "list", "example.com", "--limit", "1")
    assert [r[1] for r in first.rows] == ["offers"]
    rest = ("--after", "bob@example.net", "--after-tag", "offers")
    assert [r[1] for r in (await kannon("suppressions", "list", "example.com", *rest)).rows] == ["the news"]
    shown = (await kannon("suppressions", "show", "example.com", "bob@example.net")).rows
    assert [row[1] for row in shown if row[0] == "mail"] == ["tagged offers", "tagged the news"]
    exported = await kannon("suppressions", "export", "example.com")
    assert (await kannon("suppressions", "import", "other.example", "-", stdin=exported.out)).out == "2 of 2 added\n"
    assert (await kannon("suppressions", "export", "other.example")).out == exported.out
    of_all_mail = await kannon("suppressions", "remove", "example.com", "bob@example.net", "--tag", "")
    assert (of_all_mail.code, of_all_mail.err) == (1, "kannon: some of these addresses were not suppressed\n")
    assert (await kannon("suppressions", "remove", "example.com", "bob@example.net", "--tag", "offers")).code == 0
    assert (await kannon("suppressions", "remove", "example.com", "bob@example.net")).code == 0
    wrong = await kannon("suppressions", "add", "example.com", "bob@example.net", "--tag", "x" * 65)
    assert (wrong.code, wrong.err) == (1, "kannon: suppressions[0].tag: is longer than 64 characters\n")
    wrong = await kannon("suppressions", "import", "example.com", "-", stdin=f"email,tag\na@b.de,{'x' * 65}\n")
    assert (wrong.code, wrong.err) == (1, "kannon: -: line 2: tag: is longer than 64 characters\n")


async def test_an_export_can_be_imported(kannon: Command, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffbob@example.net\n\nann@example.net\n")
    assert (await kannon("suppressions", "import", "example.com", "list.txt")).out == "2 of 2 added\n"
    await kannon(
        "suppressions", "add", "example.com", "eve@example.net", "--note", 'a "friend", she said', "--expires", "9d"
    )
    exported = await kannon("suppressions", "export", "example.com")
    assert exported.out.splitlines()[0].startswith("email,cause,since,expires_at,note,")
    copied = await kannon("suppressions", "import", "other.example", "-", stdin=exported.out)
    assert (copied.code, copied.out) == (0, "3 of 3 added\n")
    assert (await kannon("suppressions", "export", "other.example")).out == exported.out
    again = await kannon("suppressions", "import", "other.example", "-", "--json", stdin=exported.out)
    assert again.json == {"count": 0, "read": 3}
    document = (await kannon("suppressions", "export", "example.com", "--json")).json
    assert [s["email"] for s in document["suppressions"]] == ["ann@example.net", "bob@example.net", "eve@example.net"]


async def test_an_error_in_a_file_names_its_line(kannon: Command, tmp_path: Path) -> None:
    for text, problem in [
        ("name,note\nx,y\n", "list.csv: the first line must name the columns, one of them email"),
        ("email,since\na@b.example,yesterday\n", "list.csv: line 2: Invalid isoformat string: 'yesterday'"),
        ('email,note\na@b.example,"x"y\n', "list.csv: line 2: ',' expected after '\"'"),
        (
            "email,cause\na@b.example,whim\n",
            "list.csv: line 2: cause: is none of bounced, complained, manual, unsubscribed",
        ),
        ("a@b.example\n\nnobody\n", 'list.csv: line 3: "nobody" is not an address'),
        ('a@b.example\n"x"y\n', "list.csv: line 2: ',' expected after '\"'"),
        (f"email\n{'a' * 320}@b.example\n", "list.csv: line 2: the address is longer than 320 characters"),
        (f"email,note\na@b.example,{'n' * 501}\n", "list.csv: line 2: note: longer than 500 characters"),
        ("a@b.example\n" * 1500 + "@b.example\n", 'list.csv: line 1501: "@b.example" is not an address'),
    ]:
        (tmp_path / "list.csv").write_text(text)
        said = await kannon("suppressions", "import", "example.com", "list.csv")
        assert (said.code, said.err) == (1, f"kannon: {problem}\n")
    assert (await kannon("suppressions", "list", "example.com")).out == ""


async def test_a_domain_can_switch_suppression_off(kannon: Command) -> None:
    assert (await kannon("suppressions", "policy", "example.com")).out == "suppression is on for example.com\n"
    assert (
        await kannon("suppressions", "policy", "example.com", "--off")
    ).out == "suppression is off for example.com\n"
    assert (await kannon("suppressions", "policy", "example.com", "--json")).json == {"enabled": False}
    assert (await kannon("suppressions", "policy", "example.com", "--on")).code == 0
