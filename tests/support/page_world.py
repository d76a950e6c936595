"""A world for the pages: a domain with batches, deliveries, events of every kind, suppressions, a webhook.

In: a database, and a text that strangers put wherever they can. Out: the ids that the pages are opened with.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kannon.db.pauses import insert_pause
from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.db.suppressions import insert_suppressions
from kannon.mail.event import Event, EventType
from kannon.mail.pauses import Scope
from kannon.mail.suppression import Cause, Suppression
from tests.support.pool import insert_batch
from tests.support.webhooks import add_endpoint

DOMAIN = "example.com"


@dataclass
class PageWorld:
    batch: str
    waiting: int
    ended: int
    endpoint: str
    emails: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        """Every page, with something on it."""
        types = ("delivered", "error", "bounced", "failed", "rejected", "opened", "clicked", "complained")
        return [
            "/",
            "/search?q=ann@example.net",
            "/search",
            "/deliveries",
            f"/deliveries?batch={self.batch}&state=scheduled",
            f"/deliveries/{self.waiting}",
            f"/deliveries/{self.ended}",
            "/batches",
            f"/batches/{self.batch}",
            *(f"/batches/{self.batch}?show={kind}" for kind in types),
            "/domains",
            f"/domains/{DOMAIN}",
            f"/domains/{DOMAIN}?check=1",
            f"/domains/{DOMAIN}/webhooks/{self.endpoint}",
            "/suppressions",
            f"/suppressions?domain={DOMAIN}&cause=bounced",
            "/audit",
            "/config",
        ]


async def make_page_world(db: Database, text: str = "as they are", *, events: int = 40) -> PageWorld:
    emails = [f"{name}@example.net" for name in ("ann", "bob", "cas", "dan", "eve", "fay")]
    ids = await insert_batch(db, emails, domain=DOMAIN, name="a", state="scheduled", due=timedelta(minutes=7))
    batch = f"msg_a@{DOMAIN}"
    now = datetime.now(UTC)
    async with db.acquire() as connection:
        await connection.execute("UPDATE messages SET subject = $1, tag = $2", text[:200], "spring")
        await connection.execute("UPDATE messages SET metadata = jsonb_build_object('campaign', $1::text)", text)
        await connection.execute(
            "UPDATE sending_pool_emails SET attempts = 2, last_code = 451, last_stage = 'rcpt', last_host = $1,"
            " last_text = $2 WHERE id = $3",
            "mx.example.net",
            text,
            ids[0],
        )
    await ensure_partitions(db, [week_of(now), week_of(now - timedelta(days=7))])
    await insert_events(db, list(_events(text, now, batch, ids, emails, events)))
    await insert_suppressions(
        db,
        DOMAIN,
        [
            Suppression(DOMAIN, "bob@example.net", Cause.BOUNCED, now, text=text, code=550, host="mx.example.net"),
            Suppression(DOMAIN, "zoe@example.net", Cause.MANUAL, now, note=text),
        ],
    )
    endpoint = (await add_endpoint(db, "https://app.example.com/kannon", domain=DOMAIN)).id
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO webhook_attempts (endpoint_id, at, request_id, type, events, status, problem, milliseconds,"
            " answer) VALUES ($1, now(), 'r', 'delivery.bounced', 1, 500, $2, 12, $2)",
            endpoint,
            text,
        )
        await connection.execute(
            "INSERT INTO api_keys (id, domain, name, prefix, secret_sha256) VALUES ('key_1', $1, $2, 'kannon_a', 'x')",
            DOMAIN,
            text[:100],
        )
        await connection.execute(
            "INSERT INTO audit (way, actor, attribution, peer, action, domain, subject, done)"
            " VALUES ('api', 'API key 1', $1, '127.0.0.1', 'Operations.Pause', $2, $1, true)",
            text,
            DOMAIN,
        )
    await insert_pause(db, Scope.DESTINATION, "example.org")
    return PageWorld(batch, ids[0], 9001, endpoint, emails)


def _events(text: str, now: datetime, batch: str, ids: list[int], emails: list[str], count: int) -> list[Event]:
    made: list[Event] = []

    def add(kind: EventType, hours: float, delivery: int, email: str, **more: object) -> None:
        made.append(
            Event(
                event_id=f"e{len(made)}",
                type=kind,
                domain=DOMAIN,
                message_id=batch,
                email=email,
                at=now - timedelta(hours=hours),
                delivery_id=delivery,
                attempt=1,
                **more,  # type: ignore[arg-type]
            )
        )

    add(EventType.ACCEPTED, 5, 9001, "ann@example.net")
    add(EventType.ERROR, 4.5, 9001, "ann@example.net", code=451, text=text, stage="rcpt", host="mx.example.net")
    add(EventType.DELIVERED, 4, 9001, "ann@example.net", code=250, text=text, host="mx.example.net", tls="TLSv1.3")
    add(EventType.OPENED, 3, 9001, "ann@example.net", user_agent=text, ip="192.0.2.1")
    add(EventType.CLICKED, 3, 9001, "ann@example.net", user_agent=text, url=f"https://example.com/?q={text}")
    add(EventType.COMPLAINED, 2, 9001, "ann@example.net", text=text)
    add(EventType.BOUNCED, 2, 9002, "bob@example.net", permanent=True, code=550, text=text, host="mx.example.net")
    add(EventType.FAILED, 2, 9003, "cas@example.net", text=text)
    add(EventType.REJECTED, 5, 9004, "dan@example.net", text=text)
    add(EventType.ERROR, 1, ids[0], emails[0], code=451, text=text, stage="rcpt", host="mx.example.net")
    for number in range(count):
        kind = EventType.DELIVERED if number % 9 else EventType.ERROR
        add(kind, (number * 7) % 23 + 0.1, 10_000 + number, f"r{number}@example.net", code=250, text="ok")
    return made
