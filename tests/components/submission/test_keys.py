"""Submission obeys what a key may do: its scope, its networks and its quotas."""

import pytest

from kannon.db.pool import Database
from tests.components.submission.test_dialogue import submit
from tests.support.submission import plain, running


async def limit_key(db: Database, assignment: str) -> None:
    async with db.acquire() as connection:
        assert await connection.execute(f"UPDATE api_keys SET {assignment}") == "UPDATE 1"


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("scopes = '{read}'", 'does not have the scope "send"'),
        ("networks = '{192.0.2.0/24}'", "must not be used from 127.0.0.1"),
    ],
)
async def test_a_key_that_may_not_send_from_here_does_not_log_in(db: Database, assignment: str, reason: str) -> None:
    async with running(db) as server:
        await limit_key(db, assignment)
        async with server.connect() as peer:
            reply = await peer.say(plain())
            assert reply.startswith("5")
            assert reason in reply
            assert (await peer.say("MAIL FROM:<news@example.com>")).startswith("530 ")


async def test_a_used_up_quota_is_answered_for_now_and_one_that_never_fits_for_good(db: Database) -> None:
    async with running(db) as server:
        await limit_key(db, "per_day = 1")
        async with server.logged_in() as peer:
            await peer.say("MAIL FROM:<news@example.com>")
            await peer.say("RCPT TO:<a@b.de>")
            await peer.say("RCPT TO:<c@d.ef>")
            await peer.say("DATA")
            reply = await peer.say(b"From: news@example.com\r\nSubject: two\r\n\r\nHello\r\n.\r\n")
            assert reply.startswith("552 5.7.0 2 mails are more than the 1 a day")
            assert (await submit(peer)).startswith("250 2.0.0 accepted")
            assert (await submit(peer)).startswith("452 4.7.0 the quota of")


async def test_a_login_is_noted_as_the_last_use(db: Database) -> None:
    async with running(db) as server, server.logged_in() as peer:
        assert (await submit(peer)).startswith("250 ")
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT last_used_from FROM api_keys") == "127.0.0.1"
