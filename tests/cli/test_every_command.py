"""Every client command with every option: at a terminal of 80 and of 200 columns, in a pipe, with --json, with a wrong
token, and with the server down.

At 80 columns no id, address or DNS record is cut or broken; nothing prints a traceback; --json prints one JSON
document; each problem is one line on standard error. A new command or option needs a row here.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer

from kannon.bus.bus import Bus
from kannon.cli import COMMANDS, app
from kannon.db.pool import Database
from kannon.db.queue import claim_to_validate, settle_validated
from kannon.mail.message_id import make_message_id
from tests.components.api.test_dead_letters import dead_letter
from tests.support.api import TOKEN, running_api
from tests.support.command import Command
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.many_commands import ManyCommands, Shown, many_commands
from tests.support.patience import patience

COMMON = {"--server", "--token", "--ca", "--config", "--json", "--utc", "--help"}
LOCAL = {
    "serve",
    "check",
    "migrate",
    "backup",
    "restore",
    "secrets",
    "install",
    "uninstall",
    "version",
    "demo",
    "sandbox",
    "doctor",
}
"""They talk to no server; test_local_commands has the commands among them that print something to read."""
DOMAIN = "a-rather-long-name.of-a-sender.example.com"
ADDRESS = f"somebody.with.a.long.name@inbox.{DOMAIN}"
SEND = f"--from news@{DOMAIN} --subject Hello_{{{{name}}}} --field name=Ann"


@dataclass(frozen=True)
class Row:
    """`line` may name what is there: {batch}, {template}, {key}, {delivery}; {n} is another number at each run."""

    line: str
    code: int = 0
    reads: bool = True
    """The output has the same ids at each run."""
    wrong_token: int = 77
    down: int = 69
    document: bool = True
    """It prints JSON with --json."""


ROWS = [
    Row("domains add new{n}.example.com", reads=False),
    Row("domains list"),
    Row(f"domains show {DOMAIN}"),
    Row(f"domains tracking {DOMAIN}"),
    Row(f"domains tracking {DOMAIN} --opens anonymous --links off"),
    Row(f"domains dns {DOMAIN}"),
    Row(f"domains dns {DOMAIN} --host mx.a-rather-long-name.of-a-host.example.net"),
    Row(f"domains dns {DOMAIN} --zone"),
    Row(f"domains dns {DOMAIN} --verify", code=1),
    Row(f"domains quota {DOMAIN}"),
    Row(f"domains quota {DOMAIN} --rate 100 --daily 50000"),
    Row(f"domains guard {DOMAIN}"),
    Row(f"domains reports {DOMAIN} --since 7d --limit 5"),
    Row(f"domains guard {DOMAIN} --switch on --dead 12.5 --complaints configured"),
    Row(f"domains dkim list {DOMAIN}"),
    Row("domains dkim rotate keys.example.com --algorithm rsa-sha256 --force", reads=False),
    Row("domains dkim activate keys.example.com kannon --force", reads=False),
    Row("domains dkim delete keys.example.com {selector{n}} --force", reads=False),
    Row("domains dkim enable-ed25519 keys.example.com --force", reads=False),
    Row("domains dkim disable-ed25519 keys.example.com", reads=False),
    Row(f"keys create {DOMAIN} --name shop --expires 90d", reads=False),
    Row(f"keys create {DOMAIN} --scope read --allow-ip 192.0.2.0/24 --rate 5 --daily 1000", reads=False),
    Row(f"keys show {DOMAIN} {{key}}"),
    Row(f"keys update {DOMAIN} {{key}} --name shop --scope send --allow-ip anywhere --rate 0 --daily 0"),
    Row(f"keys list {DOMAIN}"),
    Row(f"keys list {DOMAIN} --active"),
    Row(f"keys revoke {DOMAIN} {{key}}"),
    Row(f"templates create {DOMAIN} mail.html --title Hello", reads=False),
    Row(f"templates create {DOMAIN} receipt.html --engine jinja", reads=False),
    Row(f"templates list {DOMAIN}"),
    Row("templates show {template}"),
    Row("templates show {template} --version 1"),
    Row("templates versions {template}", reads=False),
    Row("templates restore {template} 1", reads=False),
    Row("templates preview {template} --field name=Ann --subject Hello --text mail.txt --version 1"),
    Row(f"templates preview --html receipt.html --domain {DOMAIN} --engine jinja --data order.json"),
    Row("templates lint {template} --field name=Ann --text mail.txt"),
    Row(f"templates lint --html receipt.html --domain {DOMAIN} --engine jinja --data order.json --bulk", code=1),
    Row(f"templates test {{template}} {ADDRESS} --from news@{DOMAIN} --subject Hello --field name=Ann", reads=False),
    Row(
        f"templates test {{template}} {ADDRESS} --text mail.txt --key nonsense --data order.json", code=77, reads=False
    ),
    Row("templates update {template} mail.html --title Hello"),
    Row("templates delete {spare{n}}", reads=False),
    Row(f"send {SEND} --html mail.html --to {ADDRESS} --attach mail.html --at 2h --show-to a@b.de", reads=False),
    Row(
        f"send {SEND} --template {{template}} --recipients list.csv --show-cc a@b.de --reply-to a@b.de"
        f" --unsubscribe-url https://example.com/u --domain {DOMAIN}",
        reads=False,
    ),
    Row(f"send {SEND} --html mail.html --to {ADDRESS} --dry-run", reads=False),
    Row(f"send {SEND} --html mail.html --to {ADDRESS} --key nonsense", code=77, reads=False),
    Row(
        f"send {SEND} --text mail.txt --to {ADDRESS} --bcc c@d.ef --tag news --metadata order=7 --header X-Issue:7",
        reads=False,
    ),
    Row(f"send {SEND} --html receipt.html --engine jinja --data order.json --to {ADDRESS}", reads=False),
    Row(f"send {SEND} --html receipt.html --engine jinja --data order.json --to {ADDRESS} --dry-run", reads=False),
    Row("send --raw mail.eml", reads=False),
    Row("send --raw mail.eml --dry-run", reads=False),
    Row(f"batches list {DOMAIN}"),
    Row(f"batches list {DOMAIN} --since 1d --until 1s --limit 1000 --tag news"),
    Row("batches reschedule {batch} --at 3h", reads=False),
    Row("batches show {batch}"),
    Row("batches pause {batch}"),
    Row("batches resume {batch}"),
    Row("batches cancel {cancelled}"),
    Row("queue list"),
    Row(f"queue list {DOMAIN} --batch {{batch}} --to {ADDRESS} --state scheduled --tag news --limit 5"),
    Row("queue why {delivery}"),
    Row(f"queue why {{batch}} {ADDRESS}"),
    Row("queue retry {delivery}"),
    Row("queue retry --batch {batch} --domain " + DOMAIN + " --destination inbox." + DOMAIN),
    Row("queue pause --destination b{n}.example"),
    Row("queue pauses"),
    Row(f"queue pause --domain {DOMAIN}"),
    Row(f"queue resume --domain {DOMAIN}"),
    Row("queue pause --batch {batch}"),
    Row("queue resume --batch {batch}"),
    Row("queue resume --destination b{n}.example"),
    Row("queue destinations"),
    Row("queue destinations mx --limit 5"),
    Row("queue cancel {delivery{n}}", reads=False),
    Row(f"stats {DOMAIN}"),
    Row(f"stats {DOMAIN} --since 1d --until 1s --limit 5 --type accepted --type bounced"),
    Row(f"stats {DOMAIN} --tag news"),
    Row(f"stats --batch {{batch}} --to {ADDRESS}"),
    Row(f"suppressions add {DOMAIN} {ADDRESS} --note asked_by_phone --expires 90d"),
    Row(f"suppressions list {DOMAIN}"),
    Row(f"suppressions list {DOMAIN} --cause manual --after a --limit 5"),
    Row(f"suppressions add {DOMAIN} {ADDRESS} --tag news"),
    Row(f"suppressions list {DOMAIN} --tag news"),
    Row(f"suppressions list {DOMAIN} --after a --after-tag news"),
    Row(f"suppressions show {DOMAIN} {ADDRESS}"),
    Row(f"suppressions export {DOMAIN}"),
    Row(f"suppressions policy {DOMAIN}"),
    Row(f"suppressions policy {DOMAIN} --on"),
    Row(f"send {SEND} --html mail.html --to x@y.example --one-click-unsubscribe --require-tls", reads=False),
    Row(f"suppressions policy {DOMAIN} --no-on", code=2, wrong_token=2, down=2, document=False),
    Row(f"suppressions import {DOMAIN} list.csv"),
    Row(f"suppressions remove {DOMAIN} ann{{n}}@example.net", reads=False),
    Row(f"suppressions add {DOMAIN} tag{{n}}@example.net --tag news", reads=False),
    Row(f"suppressions remove {DOMAIN} ann{{n}}@example.net --tag news", reads=False, code=1),
    Row("dead-letters list"),
    Row("dead-letters list --after 1 --limit 5"),
    Row("dead-letters retry {dead{n}}", reads=False),
    Row("dead-letters delete {buried{n}}", reads=False),
    Row(
        f"webhooks add {DOMAIN} https://hooks.of-a-customer.example.net/{{n}} --types delivery.bounced --max-batch 10",
        reads=False,
    ),
    Row("webhooks list"),
    Row(f"webhooks list {DOMAIN}"),
    Row("webhooks show {hook} --attempts 5"),
    Row("webhooks rotate {hook}", reads=False),
    Row("webhooks replay {hook} --from 1d --to 1s"),
    Row("webhooks disable {hook}"),
    Row("webhooks enable {hook}"),
    Row("webhooks remove {hook{n}}", reads=False),
    Row("health", wrong_token=0),
    Row("nodes"),
    Row(f"audit --domain {DOMAIN} --action Api.CreateDomain --limit 5"),
    Row("audit --before 1"),
    Row("overview"),
    Row("overview --hours 48"),
    Row("batches engagement {batch}"),
    Row(f"domains check {DOMAIN}", code=1),
    Row("queue find {header}"),
    Row("nodes --settings", reads=False),
    Row("open --print", reads=False),
]
ELSEWHERE = {"stats --follow", "stats --watch", "suppressions policy --off", "webhooks test", "open"}
"""test_watch.py has --watch, whose loop --follow shares; --off is --on's other name; `webhooks test` waits for the
component; `open` opens a browser."""
PIPE, JSON, NARROW, WIDE, WRONG, DOWN = range(6)
# What must be in one piece: ids, addresses, host names, DNS records.
WHOLE = re.compile(
    r"\b(?:msg|template|key)_[\w@.-]+|[\w.+-]+@[\w.-]+|v=(?:DKIM1|spf1|DMARC1)[^\t\n]*|[\w-]+(?:\.[\w-]+){2,}"
)


def words(row: Row, world: dict[str, str], n: int) -> list[str]:
    line = re.sub(r"\{(\w+)\{n\}\}", lambda m: world[f"{m[1]}{n}"], row.line)
    line = line.replace("{n}", str(n))
    line = re.sub(r"(?<!\{)\{(\w+)\}(?!\})", lambda m: world[m[1]], line)
    return [word.replace("_", " ") if word.startswith(("Hello_", "asked_")) else word for word in line.split()]


def leaves(path: str, command: Any, context: Any) -> Iterator[tuple[str, Any]]:
    children = command.list_commands(context) if hasattr(command, "list_commands") else ()
    if not children:
        yield path, command
    for name in children:
        yield from leaves(f"{path} {name}".strip(), command.get_command(context, name), context)


def test_every_client_command_and_option_has_a_row() -> None:
    used = {row.line: set(row.line.split()) for row in ROWS}
    missing = []
    for path, command in leaves("", typer.main.get_command(app), None):
        if path.split()[0] in LOCAL:
            continue
        lines = [line for line in used if f"{line} ".startswith(f"{path} ")]
        options = {name for each in command.params for name in each.opts if name.startswith("--")} - COMMON
        missing += [path] if not lines else []
        missing += [f"{path} {option}" for option in options if not any(option in used[line] for line in lines)]
    assert set(missing) <= ELSEWHERE, missing
    assert not COMMANDS.keys() & LOCAL - set(COMMANDS), "LOCAL names commands that are gone"


@pytest.fixture
async def world(db: Database, bus: Bus, tmp_path: Path) -> AsyncIterator[tuple[dict[str, str], dict[str, str]]]:
    """Names of what is there, and the environment of a command that finds it."""
    (tmp_path / "mail.html").write_text("<p>Hello {{ name }}</p>")
    (tmp_path / "receipt.html").write_text("{% for line in lines %}<p>{{ line|upper }}</p>{% endfor %}")
    (tmp_path / "order.json").write_text('{"lines": ["tea"]}')
    (tmp_path / "list.csv").write_text("email\n" + "".join(f"ann{n}@example.net\n" for n in range(6)))
    (tmp_path / "mail.txt").write_text("Hello {{ name }}")
    (tmp_path / "mail.eml").write_text(f"From: news@{DOMAIN}\nTo: {ADDRESS}\nSubject: Hello\n\nHello\n")
    await dead_letter(bus, 12)
    async with running_api(db, bus=bus) as api, serving_dns(DnsServer({})) as nameserver:
        config = f'[sender]\nhostname = "mx.example.net"\n[dns]\nnameservers = ["{nameserver}"]\n'
        (tmp_path / "kannon.toml").write_text(config)
        env = {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN}
        kannon = Command(tmp_path, env)
        for name in (DOMAIN, "keys.example.com"):
            await api.create_domain(name)
        send = ("send", "--from", f"news@{DOMAIN}", "--subject", "Hello", "--html", "mail.html", "--json")
        more = [word for n in range(6) for word in ("--to", f"bob{n}@inbox.{DOMAIN}")]
        sent = (await kannon(*send, "--to", ADDRESS, "--to", "nobody", *more)).json
        cancelled = (await kannon(*send, "--to", "z@example.org")).json
        page = await claim_to_validate(db, page=100)
        await settle_validated(db, valid=[row.id for row in page], rejected=[])
        key = (await kannon("keys", "create", DOMAIN, "--json")).json["api_key"]["id"]
        world = {
            "batch": sent["batches"][0]["message_id"],
            "cancelled": cancelled["batches"][0]["message_id"],
            "delivery": next(str(row.id) for row in page if row.email == ADDRESS),
            "key": key,
        }
        async with db.acquire() as connection:
            row_id = int(world["delivery"])
            secret = await connection.fetchval("SELECT secret FROM sending_pool_emails WHERE id = $1", row_id)
        world["header"] = make_message_id(secret.bytes, DOMAIN)
        world |= {f"delivery{row.email[3]}": str(row.id) for row in page if row.email.startswith("bob")}
        for n, name in enumerate(["template", *(f"spare{n}" for n in range(6))]):
            world[name] = (await kannon("templates", "create", DOMAIN, "mail.html", "--title", f"T{n}")).out.strip()
        for name in ("hook", *(f"hook{n}" for n in range(6))):
            added = await kannon("webhooks", "add", DOMAIN, f"https://{name}.example.net/", "--json")
            world[name] = added.json["endpoint"]["id"]
        letters = (await kannon("dead-letters", "list", "--json")).json["messages"]
        for n in range(6):
            world[f"selector{n}"] = f"kannon{n + 2}"
            world[f"dead{n}"], world[f"buried{n}"] = (letters[2 * n + i]["sequence"] for i in range(2))
        yield world, env


async def test_every_client_command(world: tuple[dict[str, str], dict[str, str]], tmp_path: Path) -> None:
    names, env = world
    gone, wrong = {"KANNON_SERVER": "127.0.0.1:1"}, {"KANNON_TOKEN": "wrong"}
    problems: list[str] = []

    async def send_to_a_server_that_is_down() -> None:
        send = ("send", "--from", f"news@{DOMAIN}", "--subject", "Hello", "--html", "mail.html", "--to", ADDRESS)
        said = await Command(tmp_path, env | gone)(*send)
        assert (said.code, said.out, said.err.count("\n")) == (69, "", 1)

    def check(row: Row, how: str, good: bool, said: Shown) -> None:
        if not good or "Traceback" in said.out + said.err:
            problems.append(f"kannon {row.line} ({how}): {said.code}\n{said.text}{said.err}")

    async def each(run: ManyCommands, row: Row) -> None:
        piped = await run(words(row, names, PIPE), env)
        check(row, "pipe", piped.code == row.code, piped)
        if row.document:
            printed = await run([*words(row, names, JSON), "--json"], env)
            check(row, "--json", printed.code == row.code and is_json(printed), printed)
        for n, columns in ((NARROW, 80), (WIDE, 200)):
            shown = await run(words(row, names, n), env, columns=columns)
            lost = [each for each in WHOLE.findall(piped.out) if row.reads and each.rstrip(". ") not in shown.text]
            check(row, f"{columns} columns; cut: {lost}", shown.code == row.code and not lost, shown)
            check(row, f"{columns} columns", "…" not in shown.text, shown)
        for how, n, code, other in (("wrong token", WRONG, row.wrong_token, wrong), ("down", DOWN, row.down, gone)):
            if how == "down" and row.line.startswith("send"):
                continue  # it tries for some seconds
            said = await run(words(row, names, n), env | other)
            check(row, how, said.code == code and (not code or (said.err.count("\n") == 1 and not said.out)), said)

    with patience():
        async with many_commands(tmp_path) as run, anyio.create_task_group() as group:
            group.start_soon(send_to_a_server_that_is_down)
            for row in ROWS:  # in their order, since some need what others have made
                await each(run, row)
    assert not problems, "\n\n".join(problems)


def is_json(said: Shown) -> bool:
    try:
        return bool(said.code) or json.loads(said.out) is not None
    except ValueError:
        return False
