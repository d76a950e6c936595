"""The client commands against a running API: output, exit codes, and how they find the server."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.rdatatype
import dns.zone
import pytest

from kannon.db.pool import Database
from kannon.db.queue import Deferral, claim_due, claim_to_validate, settle_validated, settlement
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.errors import Unavailable
from kannon.mail.event import Event, EventType
from tests.support.api import TOKEN, RunningApi, running_api
from tests.support.command import Command
from tests.support.dns_server import SERVFAIL, DnsServer, serving_dns


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        yield api


@pytest.fixture
def kannon(api: RunningApi, tmp_path: Path) -> Command:
    return Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})


async def test_domains_and_keys_are_created_listed_and_deleted(kannon: Command) -> None:
    added = await kannon("domains", "add", "Example.com")
    assert (added.code, added.out, added.err) == (0, "example.com is added\n", "")
    again = await kannon("domains", "add", "example.com")
    assert (again.code, again.out, again.err) == (1, "", 'kannon: domain: "example.com" already exists\n')
    assert (await kannon("domains", "list")).rows == [["example.com", "identified", "identified"]]
    shown = await kannon("domains", "show", "example.com", "--json")
    assert shown.json["dkim_selector"] == "kannon"
    assert (await kannon("domains", "tracking", "example.com", "--opens", "off")).rows == [
        ["example.com", "off", "identified"]
    ]
    made = await kannon("keys", "create", "example.com", "--name", "shop", "--expires", "90d")
    assert re.fullmatch(r"k_[A-Za-z0-9]{64}\n", made.out)
    [key] = (await kannon("keys", "list", "example.com")).rows
    assert key[1:3] == [made.out[:8] + "...", "shop"]
    assert (await kannon("keys", "revoke", "example.com", key[0])).code == 0
    assert (await kannon("keys", "list", "example.com", "--active")).out == ""
    assert (await kannon("keys", "list", "example.com", "--json")).json["total"] == 1


async def test_templates_are_created_changed_and_deleted(kannon: Command, tmp_path: Path) -> None:
    await kannon("domains", "add", "example.com")
    (tmp_path / "mail.html").write_text("<p>é</p>")
    made = await kannon("templates", "create", "example.com", "mail.html", "--title", "Hello")
    template_id = made.out.strip()
    assert (await kannon("templates", "show", template_id)).out == "<p>é</p>\n"
    assert (await kannon("templates", "update", template_id, "-", stdin="<p>new</p>")).code == 0
    assert (await kannon("templates", "list", "example.com")).rows == [[template_id, "Hello", "10 B"]]
    assert (await kannon("templates", "delete", template_id)).code == 0
    gone = await kannon("templates", "show", template_id)
    assert (gone.code, gone.err.count("\n")) == (1, 1)
    missing = await kannon("templates", "create", "example.com", "nothing.html")
    assert (missing.code, missing.err) == (1, "kannon: nothing.html: No such file or directory\n")


async def test_a_send_goes_to_a_list(kannon: Command, tmp_path: Path, db: Database) -> None:
    await kannon("domains", "add", "example.com")
    (tmp_path / "mail.html").write_text("<p>Hello {{ name }}</p>")
    (tmp_path / "list.csv").write_text('\ufeffname;Email\nAnn;ann@example.net\n\n"B; b";bob@example.net\n;\n')
    (tmp_path / "a.txt").write_text("attached")
    sent = await kannon(
        *("send", "--from", "News <news@example.com>", "--subject", "For {{ name }}", "--html", "mail.html"),
        *("--recipients", "list.csv", "--to", "carl@example.net", "--to", "ann@example.net", "--field", "a=b=c"),
        *("--attach", "a.txt", "--at", "2h", "--unsubscribe-url", "https://example.com/{{ email }}", "--json"),
        *("--show-to", "Readers <readers@example.com>"),
    )
    assert (sent.code, sent.err) == (0, "")
    [answer] = sent.json["batches"]
    assert (sent.json["accepted_count"], sent.json["rejected_count"]) == (3, 1)
    assert (answer["accepted_count"], answer["rejected_count"]) == (3, 1)
    assert answer["rejected_recipients"] == [{"email": "ann@example.net", "reason": "duplicate"}]
    async with db.acquire() as connection:
        deliveries = await connection.fetch("SELECT email, fields, due_at FROM sending_pool_emails ORDER BY id")
        batch = await connection.fetchrow("SELECT * FROM messages")
        keys = await connection.fetchval("SELECT count(*) FROM api_keys")
    assert [(d["email"], json.loads(d["fields"])) for d in deliveries] == [
        ("carl@example.net", {}),
        ("ann@example.net", {}),
        ("bob@example.net", {"name": "B; b"}),
    ]
    assert deliveries[0]["due_at"] > datetime.now(UTC) + timedelta(minutes=119)
    assert batch is not None
    assert json.loads(batch["global_fields"]) == {"a": "b=c"}
    assert batch["header_to"] == ["Readers <readers@example.com>"]
    assert keys == 0  # the admin token authenticates the send


async def test_a_send_from_an_internationalised_domain_is_accepted(kannon: Command) -> None:
    await kannon("domains", "add", "bücher.example")
    sent = await kannon("send", "--from", "a@bücher.example", "--subject", "s", "--html", "/dev/null", "--to", "a@b.de")
    assert (sent.code, sent.err) == (0, "")


async def test_a_send_with_an_api_key_needs_no_token(kannon: Command, db: Database) -> None:
    await kannon("domains", "add", "example.com")
    key = (await kannon("keys", "create", "example.com")).out.strip()
    del kannon.env["KANNON_TOKEN"]
    lines = '{"email": "a@example.net", "n": 1, "x": null}\n{"email": "b@example.net", "fields": {"n": "2"}}\n'
    arguments = ("send", "--from", "n@example.com", "--subject", "s", "--recipients", "-", "--key", key)
    template = (
        await kannon(*arguments[:5], "--html", "/dev/null", "--to", "c@example.net", "--key", key, "--json")
    ).json
    sent = await kannon(*arguments, "--template", template["batches"][0]["template_id"], stdin=lines)
    assert (sent.code, sent.err) == (0, "")
    assert sent.out.startswith("accepted 2, rejected 0: msg_")
    async with db.acquire() as connection:
        fields = await connection.fetch("SELECT fields FROM sending_pool_emails ORDER BY id OFFSET 1")
    assert [json.loads(row["fields"]) for row in fields] == [{"n": "1", "x": ""}, {"n": "2"}]


async def test_a_dry_run_shows_one_mail_and_sends_none(kannon: Command, tmp_path: Path, db: Database) -> None:
    await kannon("domains", "add", "example.com")
    (tmp_path / "mail.html").write_text("<p>Hello {{ name }}, {{ more }}</p>")
    (tmp_path / "list.csv").write_text("email,name\nann@example.net,<Änn>\n")
    shown = await kannon(
        *("send", "--from", "Zoë <news@example.com>", "--subject", "For {{ name }}", "--html", "mail.html"),
        *("--recipients", "list.csv", "--field", "more=all", "--dry-run"),
    )
    assert (shown.code, shown.err) == (0, "")
    assert "From: Zoë <news@example.com>\n" in shown.out
    assert "To: ann@example.net\nSubject: For <Änn>\n" in shown.out
    assert "<p>Hello &lt;Änn&gt;, all</p>" in shown.out
    assert shown.out.endswith("\n\nchecked, nothing is sent: 1 accepted, 0 rejected\n")
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("--subject", "", "--to", "a@b.de"),
        ("--unsubscribe-url", "http://example.com/", "--to", "a@b.de"),
        ("--show-to", "nonsense", "--to", "a@b.de"),
        ("--from", "a@other.example", "--to", "a@b.de"),
        ("--from", "a@sub.example.com", "--domain", "example.com", "--to", "a@b.de"),
        ("--template", "template_x@example.com", "--to", "a@b.de"),
        ("--to", "nobody"),
        ("--to", "nobody", "--to", "a@b.de", "--to", "a@b.de"),
    ],
)
async def test_a_dry_run_refuses_what_the_send_refuses(kannon: Command, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    await kannon("domains", "add", "example.com")
    (tmp_path / "mail.html").write_text("<p>Hello</p>")
    html = () if "--template" in wrong else ("--html", "mail.html")
    send = ("send", "--from", "n@example.com", "--subject", "s", *html, *wrong, "--json")
    checked, sent = await kannon(*send, "--dry-run"), await kannon(*send)
    if sent.err:
        assert (checked.code, checked.err) == (sent.code, sent.err)
        return
    # A send leaves a malformed address to the validator.
    malformed = [each for each in checked.json["rejected_recipients"] if each["reason"] == "invalid_email"]
    assert checked.json["rejected_count"] == sent.json["rejected_count"] + len(malformed)
    assert checked.json["accepted_count"] + len(malformed) == sent.json["accepted_count"]
    assert checked.code == (0 if checked.json["accepted_count"] else 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("ann@example.net\n", "the first line must name the columns, one of them email"),
        ("", "the first line must name the columns, one of them email"),
        ("name;mail\nAnn;ann@example.net\n", "no column is named email; the columns are name, mail"),
        ("email,name\na@b.de\n", "line 2: 1 columns, but the first line names 2"),
        ('email,name\n"a@b.de,x\n', "unexpected end of data"),
        ('{"email": "a@b.de"}\n{"email": 1}\n', 'line 2: not a JSON object with the key "email"'),
        ('{"email": "a@b.de"\n', "line 1: not JSON"),
    ],
)
async def test_an_error_in_a_list_names_its_line(kannon: Command, tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "list").write_text(content)
    said = await kannon("send", "--from", "a@b.de", "--subject", "s", "--html", "/dev/null", "--recipients", "list")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"kannon: list: {problem}")
    assert said.err.count("\n") == 1


async def test_stats_shows_counts_and_events(kannon: Command, db: Database) -> None:
    await kannon("domains", "add", "example.com")
    now = datetime.now(UTC)
    events = [
        Event("1", EventType.DELIVERED, "example.com", "m", "a@b.de", now - timedelta(minutes=2)),
        Event("2", EventType.BOUNCED, "example.com", "m", "c@b.de", now, code=550, text="no\x1b[31m such user"),
    ]
    await ensure_partitions(db, {week_of(e.at) for e in events})
    await insert_events(db, events)
    shown = await kannon("stats", "example.com")
    assert shown.code == 0
    counts, *rows = shown.out.splitlines()
    assert sorted(counts.split("  ")) == ["bounced 1", "delivered 1"]
    assert rows[0].split("\t")[1:4] == ["bounced", "c@b.de", "550 no\\x1b[31m such user"]
    shown = await kannon("stats", "--since", "1m", "--json")  # of the only domain
    assert shown.json["total"] == 1
    assert {hour["type"] for hour in shown.json["hours"]} >= {"bounced"}
    await kannon("domains", "add", "other.org")
    assert (await kannon("stats")).code == 2
    wrong = await kannon("stats", "example.com", "--since", "yesterday")
    assert wrong.code == 2
    assert "--since" in wrong.err


async def test_stats_of_a_batch_a_recipient_and_a_type(kannon: Command, db: Database) -> None:
    await kannon("domains", "add", "example.com")
    await kannon("domains", "add", "other.org")
    now = datetime.now(UTC)
    deferral = Event("4", EventType.ERROR, "example.com", "msg_2@example.com", "c@b.de", now, delivery_id=7, attempt=3)
    events = [
        Event("1", EventType.DELIVERED, "example.com", "msg_1@example.com", "a@b.de", now - timedelta(days=3)),
        Event("2", EventType.BOUNCED, "example.com", "msg_1@example.com", "c@b.de", now, code=550, permanent=True),
        Event("3", EventType.ERROR, "example.com", "msg_2@example.com", "c@b.de", now, delivery_id=7, attempt=2),
        replace(deferral, code=451, text="later"),
        replace(deferral, event_id="5", type=EventType.BOUNCED, code=451, text="later"),
    ]
    await ensure_partitions(db, {week_of(e.at) for e in events})
    await insert_events(db, events)

    async def shown(*arguments: str) -> list[list[str]]:
        said = await kannon("stats", *arguments)
        assert said.code == 0, said.err
        return [row[1:4] for row in said.rows if len(row) > 1]

    # Events of three days ago are there too, and the domain is the batch's.
    assert await shown("--batch", "msg_1@example.com") == [["bounced", "c@b.de", "550"], ["delivered", "a@b.de", ""]]
    assert await shown("--batch", "msg_1@example.com", "--since", "1d") == [["bounced", "c@b.de", "550"]]
    assert await shown("--batch", "msg_1@example.com", "--to", "A@b.de") == [["delivered", "a@b.de", ""]]
    # One outcome: the last deferral is shown as the end that it was.
    gave_up = ["bounced", "c@b.de", "gave up after 3 tries: 451 later"]
    assert await shown("example.com", "--to", "c@b.de", "--batch", "msg_2@example.com") == [
        gave_up,
        ["error", "c@b.de", ""],
    ]
    assert await shown("example.com", "--type", "bounced") == [gave_up, ["bounced", "c@b.de", "550"]]
    both = await kannon("stats", "example.com", "--type", "bounced", "--type", "delivered", "--since", "9d", "--json")
    assert (both.json["total"], both.json["counts"]) == (3, {"bounced": 2, "delivered": 1})
    pages = await kannon("stats", "example.com", "--limit", "5", "--since", "9d", "--json")
    assert [each["event_id"] for each in pages.json["stats"]] == ["5", "4", "3", "2", "1"]


async def two_mails(kannon: Command) -> str:
    """The message id."""
    await kannon("domains", "add", "example.com")
    two = ("--to", "a@b.de", "--to", "c@d.ef")
    sent = await kannon("send", "--from", "n@example.com", "--subject", "s", "--html", "/dev/null", *two, "--json")
    message_id: str = sent.json["batches"][0]["message_id"]
    return message_id


async def test_a_batch_is_moved_and_has_a_tag(kannon: Command) -> None:
    await kannon("domains", "add", "example.com")
    options = ("--tag", "news", "--metadata", "issue=7", "--header", "X-Issue: 7", "--bcc", "d@b.de", "--at", "2h")
    sent = await kannon(
        "send", "--from", "n@example.com", "--subject", "s", "--text", "-", "--to", "a@b.de", *options, stdin="Hi"
    )
    assert sent.out.startswith("accepted 2, rejected 0")
    [row] = (await kannon("batches", "list", "example.com", "--tag", "news")).rows
    assert row[1:] == [row[1], "s", "news", "2", "0", "2", ""]
    assert (await kannon("batches", "list", "example.com", "--tag", "other")).rows == []
    assert len((await kannon("queue", "list", "example.com", "--tag", "news")).rows) == 2
    assert dict((await kannon("batches", "show", row[1])).rows)["metadata: issue"] == "7"
    assert (await kannon("batches", "pause", row[1])).code == 0
    moved = await kannon("batches", "reschedule", row[1], "--at", "2030-01-02T03:04:05+00:00", "--json")
    assert (moved.code, moved.json["moved_count"]) == (0, "2")
    assert moved.json["scheduled_time"] == "2030-01-02T03:04:05Z"
    assert (await kannon("batches", "cancel", row[1])).code == 0
    refused = await kannon("batches", "reschedule", row[1], "--at", "now")
    assert (refused.code, "is cancelled" in refused.err) == (1, True)
    assert (await kannon("batches", "reschedule", "msg_x@example.com", "--at", "1h")).code == 1


async def test_a_complete_message_is_sent(kannon: Command) -> None:
    await kannon("domains", "add", "example.com")
    message = "From: N <n@example.com>\nTo: a@b.de, C <c@d.ef>\nBcc: e@b.de\nSubject: Hi\n\nText\n"
    sent = await kannon("send", "--raw", "-", stdin=message)
    assert (sent.code, sent.out[:22]) == (0, "accepted 3, rejected 0")
    assert (await kannon("send", "--raw", "-", "--to", "x@b.de", stdin=message)).out[:10] == "accepted 1"
    for wrong, said in (("Subject: x\n\n", "no From"), ("From: x@other.example\nTo: a@b.de\n\n", "other.example")):
        refused = await kannon("send", "--raw", "-", stdin=wrong)
        assert (refused.code, said in refused.err) == (1, True)
    assert (await kannon("send", "--raw", "-", "--html", "-", stdin=message)).code == 2


async def validate_all(db: Database) -> None:
    page = await claim_to_validate(db, page=100)
    await settle_validated(db, valid=[row.id for row in page], rejected=[])


async def test_batches_lists_what_is_not_finished(kannon: Command) -> None:
    message_id = await two_mails(kannon)
    [row] = (await kannon("batches", "list", "example.com")).rows
    assert row[1:] == [message_id, "s", "", "2", "0", "2", ""]
    assert (await kannon("batches", "list", "example.com", "--since", "1h")).rows == [row]
    assert (await kannon("batches", "list", "example.com", "--until", "1h")).out == ""
    rows = (await kannon("batches", "show", message_id)).rows
    shown = dict(rows)
    assert len(shown) == len(rows), "two rows of one name"
    assert shown["recipients"] == "2"
    assert (shown["from"], shown["waiting: to_validate"]) == ("n@example.com", "2")
    assert (await kannon("batches", "pause", message_id)).code == 0
    assert (await kannon("batches", "list", "example.com")).rows[0][-1] == "paused"
    assert (await kannon("batches", "resume", message_id)).code == 0
    cancelled = await kannon("batches", "cancel", message_id)
    assert (cancelled.code, cancelled.out) == (0, "cancelled 2, in flight 0\n")
    assert (await kannon("batches", "list", "example.com")).rows[0][-1] == "cancelled"
    assert (await kannon("batches", "show", "msg_x@example.com")).code == 1


async def test_the_queue_is_listed_retried_and_cancelled(kannon: Command, db: Database) -> None:
    message_id = await two_mails(kannon)
    await validate_all(db)
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET next_attempt_at = now() + interval '1 hour'")
    listed = (await kannon("queue", "list")).rows
    assert [d[1:3] for d in listed] == [["a@b.de", "scheduled"], ["c@d.ef", "scheduled"]]
    [first] = (await kannon("queue", "list", "example.com", "--to", "a@b.de", "--batch", message_id)).rows
    assert first == listed[0]
    assert (await kannon("queue", "retry", first[0], "--json")).json == {"count": 1}
    assert (await kannon("queue", "retry", "--destination", "d.ef", "--json")).json == {"count": 1}
    assert (await kannon("queue", "retry")).code == 2
    assert (await kannon("queue", "cancel", first[0])).out == "cancelled\n"
    assert (await kannon("queue", "list", "--to", "a@b.de")).rows[0][2] == "cancelled"


async def test_domains_and_destinations_are_paused(kannon: Command, db: Database) -> None:
    message_id = await two_mails(kannon)
    await validate_all(db)
    assert (await kannon("queue", "pause", "--destination", "B.de")).out == "b.de is paused\n"
    assert (await kannon("queue", "pause", "--domain", "example.com")).code == 0
    assert (await kannon("queue", "pause", "--batch", message_id, "--domain", "example.com")).code == 2
    rows = (await kannon("queue", "pauses")).rows
    assert [row[:2] for row in rows] == [["destination", "b.de"], ["domain", "example.com"]]
    assert await claim_due(db, page=10) == []
    assert {row[3] for row in (await kannon("queue", "list")).rows} == {"paused"}
    resumed = await kannon("queue", "resume", "--domain", "example.com", "--json")
    assert resumed.json == {"released_count": 2}
    assert [row.recipient.email for row in await claim_due(db, page=10)] == ["c@d.ef"]
    why = await kannon("queue", "why", message_id, "a@b.de")
    assert why.out.splitlines()[0] == "paused (destination); not tried yet"


async def test_queue_why_explains_why_a_mail_has_not_arrived(kannon: Command, db: Database) -> None:
    message_id = await two_mails(kannon)
    ask = ("queue", "why", message_id, "A@b.de")

    async def first_line() -> str:
        return (await kannon(*ask)).out.splitlines()[0]

    assert await first_line() == "not validated yet"
    await validate_all(db)
    assert (await first_line()).endswith("; not tried yet")
    row, _ = sorted(await claim_due(db, page=10), key=lambda r: r.id)
    assert await first_line() == "in flight; not tried yet"
    at = datetime.now(UTC)
    async with settlement(db) as rows:
        await rows.reschedule([Deferral(row.id, 1, at + timedelta(minutes=5), 451, "rcpt", "mx.b.de", "later")])
    assert (await first_line()).endswith("; tried once, last reply: rcpt 451 later mx.b.de")
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE sending_pool_emails"
            " SET last_code = 0, last_stage = 'dns', last_host = '', last_text = 'dns: no answer'"
        )
    assert (await first_line()).endswith("; tried once, last reply: dns: no answer")
    event = Event("e", EventType.ERROR, "example.com", message_id, "a@b.de", at, delivery_id=row.id, attempt=1,
                  code=451, text="later", stage="rcpt", host="mx.b.de")  # fmt: skip
    end = replace(event, event_id="f", type=EventType.FAILED, at=at + timedelta(seconds=1), text="gave up")
    await ensure_partitions(db, {week_of(at)})
    await insert_events(db, [event, end])
    told = (await kannon("queue", "why", str(row.id))).rows[1:]
    assert [line[1:] for line in told] == [["failed", "gave up", "rcpt mx.b.de"]]  # the deferral ended it
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
    assert await first_line() == "failed: gave up"
    assert (await kannon(*ask, "--json")).json["events"][0]["stage"] == "rcpt"
    taken = replace(end, event_id="g", type=EventType.DELIVERED, at=at + timedelta(seconds=2), code=250, text="queued")
    await insert_events(db, [replace(taken, stage="")])
    assert await first_line() == "delivered: 250 queued"
    unknown = await kannon("queue", "why", message_id, "x@y.z")
    assert (unknown.code, unknown.out) == (1, "")
    assert (await kannon("queue", "why", message_id)).code == 2


async def test_health_says_ok_or_what_fails(db: Database, tmp_path: Path) -> None:
    async def away() -> None:
        raise Unavailable("x")

    async with running_api(db, checks={"nats": away}) as api:
        said = await Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}"})("health")
    assert (said.code, said.out) == (1, "nats: unavailable\n")


async def test_commands_end_with_documented_exit_codes(kannon: Command) -> None:
    refused = await kannon("domains", "list", "--token", "wrong")
    assert (refused.code, refused.err) == (77, "kannon: invalid admin token\n")
    away = await kannon("domains", "list", "--server", "127.0.0.1:1")
    assert (away.code, away.err) == (69, "kannon: 127.0.0.1:1 cannot be reached: Connection refused\n")
    untrusted = await kannon("domains", "list", "--server", "https://127.0.0.1:1", "--ca", "absent.pem")
    assert (untrusted.code, untrusted.err) == (1, "kannon: --ca: absent.pem: No such file or directory\n")
    nowhere = await kannon("domains", "list", "--server", "nonsense")
    assert (nowhere.code, nowhere.err) == (1, 'kannon: --server: "nonsense" is not of the form host:port\n')
    for arguments in (["domains", "frobnicate"], ["frobnicate"], ["domains", "show"], ["send", "--from", "a@b.de"]):
        wrong = await kannon(*arguments)
        assert (wrong.code, wrong.out) == (2, "")
        assert "Traceback" not in wrong.err


async def test_a_refused_send_names_the_wrong_option(kannon: Command) -> None:
    arguments = ("--subject", "s", "--html", "/dev/null", "--to", "a@b.de")
    for wrong in ("nonsense", "News <>", "a@", "@example.com", "a@ö..example"):
        refused = await kannon("send", "--from", wrong, *arguments)
        assert (refused.code, refused.out) == (2, ""), wrong
        assert "--from" in refused.err
    unknown = await kannon("send", "--from", "a@example.org", *arguments)
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith('kannon: --from: the server has no domain "example.org"')
    unknown = await kannon("send", "--from", "a@example.org", "--domain", "example.net", *arguments)
    assert unknown.err.startswith('kannon: --domain: the server has no domain "example.net"')


async def test_commands_need_no_options_on_the_serving_machine(api: RunningApi, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin_token").write_text(TOKEN + "\n")
    (tmp_path / "kannon.toml").write_text(f'data_dir = "data"\n[api]\nlisten = "0.0.0.0:{api.port}"\n')
    kannon = Command(tmp_path)
    assert (await kannon("domains", "add", "example.com")).code == 0
    (tmp_path / "data" / "admin_token").unlink()
    said = await kannon("domains", "list")
    assert (said.code, said.err) == (1, "kannon: data/admin_token cannot be read: No such file or directory\n")


async def test_domains_dns_prints_the_records_and_verifies_them(kannon: Command, tmp_path: Path) -> None:
    await kannon("domains", "add", "example.com")
    key = (await kannon("domains", "show", "example.com", "--json")).json["dkim_pub_key"]
    zone = {
        ("kannon._domainkey.example.com", "TXT"): [f'"v=DKIM1; k=rsa; p={key[:200]}" "{key[200:]}"'],
        ("example.com", "TXT"): ['"something else"', '"v=spf1 a:mx.example.net -all"'],
        ("_dmarc.example.com", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:dmarc@example.com"'],
        ("_smtp._tls.example.com", "TXT"): ['"v=TLSRPTv1; rua=mailto:tlsrpt@example.com"'],
        ("example.com", "MX"): ["10 mx.example.net."],
        ("stats.example.com", "A"): ["192.0.2.1"],
        ("mx.example.net", "A"): ["192.0.2.1"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.net."],
    }
    server = DnsServer(zone)
    async with serving_dns(server) as address:
        (tmp_path / "kannon.toml").write_text(
            f'[sender]\nhostname = "mx.example.net"\n[dns]\nnameservers = ["{address}"]\n'
        )
        printed = await kannon("domains", "dns", "example.com")
        assert (printed.code, server.asked) == (0, [])
        assert ["DKIM", "kannon._domainkey.example.com", "TXT", f"v=DKIM1; k=rsa; p={key}"] in printed.rows
        assert ["bounces", "example.com", "MX", "10 mx.example.net."] in printed.rows
        assert printed.err == ""
        local = await kannon("domains", "dns", "example.com", "--host", "localhost")
        assert local.code == 0
        assert 'kannon: warning: the sending host is called "localhost"' in local.err
        good = await kannon("domains", "dns", "example.com", "--verify")
        assert (good.code, {tuple(row[4:]) for row in good.rows}) == (0, {("good", "")}), good.out
        del zone["example.com", "MX"]
        bad = await kannon("domains", "dns", "example.com", "--verify", "--json")
        assert bad.code == 1
        assert [(r["purpose"], r["problem"], r["hint"]) for r in bad.json if not r["good"]] == [
            ("bounces", "missing", "add this record")
        ]
        zone["example.com", "MX"] = [SERVFAIL]
        unknown = await kannon("domains", "dns", "example.com", "--verify")
        assert (unknown.code, len(unknown.rows)) == (69, len(good.rows))
        assert {row[0]: row[4] for row in unknown.rows}["bounces"] == "look-up failed"
        assert unknown.err.startswith("kannon: DNS look-up of example.com. MX failed: ")
        assert unknown.err.count("\n") == 1
        del zone["_dmarc.example.com", "TXT"]
        assert (await kannon("domains", "dns", "example.com", "--verify")).code == 1


async def test_the_zone_file_is_one(kannon: Command, tmp_path: Path) -> None:
    (tmp_path / "kannon.toml").write_text('[sender]\nhostname = "mx.example.net"\n')
    await kannon("domains", "add", "example.com")
    text = (await kannon("domains", "dns", "example.com", "--zone")).out
    zone = dns.zone.from_text(text, origin="example.com", check_origin=False)
    [dkim] = zone.find_rdataset("kannon._domainkey", dns.rdatatype.TXT)
    printed = {(row[1], row[2]): row[3] for row in (await kannon("domains", "dns", "example.com")).rows}
    assert max(map(len, dkim.strings)) <= 255
    assert b"".join(dkim.strings).decode() == printed["kannon._domainkey.example.com", "TXT"]
    assert zone.find_rdataset("@", dns.rdatatype.MX)[0].to_text() == "10 mx.example.net."
    assert zone.find_rdataset("stats", dns.rdatatype.CNAME)[0].to_text() == "mx.example.net."
    assert (await kannon("domains", "dns", "example.com", "--zone", "--verify")).code == 2
