"""Templates: created, changed, found, listed, and deleted unless a waiting delivery needs them.

Out: kannon.mail.tenants.Template, None where there is none.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.errors import FailedPrecondition
from kannon.mail.batch import Engine
from kannon.mail.ids import is_template_id
from kannon.mail.tenants import Template, TemplateVersion

if TYPE_CHECKING:
    from kannon.db.pool import Connection

KEPT_VERSIONS = 100
"""Of one template, beside the current one and those that waiting deliveries need."""
_LISTED = 1000


@repeat_on_conflict
async def insert_template(
    db: Database, template_id: str, domain: str, *, title: str, html: str, engine: Engine = Engine.PLAIN
) -> Template | None:
    """A persistent one; None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.insert_template(
            connection, template_id=template_id, domain=domain, engine=engine, title=title, html=html
        )
    return _template(row)


@repeat_on_conflict
async def update_template(db: Database, template_id: str, *, title: str, html: str) -> Template | None:
    """Saves the next version. Batches keep the version that they were accepted with."""
    async with db.transaction() as connection:
        if await queries.lock_template_to_save(connection, template_id=template_id) is None:
            return None
        row = await queries.update_template(connection, template_id=template_id, title=title, html=html)
        await queries.prune_template_versions(connection, template_id=template_id, keep=KEPT_VERSIONS)
    return _template(row)


async def list_template_versions(db: Database, template_id: str) -> list[TemplateVersion]:
    """Newest first, the current one too; without their HTML."""
    async with db.acquire() as connection:
        rows = queries.list_template_versions(connection, template_id=template_id, take=_LISTED)
        return [TemplateVersion(r["version"], r["title"], r["saved_at"], r["bytes"]) async for r in rows]


async def find_template_version(db: Database, template_id: str, version: int) -> TemplateVersion | None:
    async with db.acquire() as connection:
        row = await queries.find_template_version(connection, template_id=template_id, version=version)
    if row is None:
        return None
    return TemplateVersion(row["version"], row["title"], row["saved_at"], len(row["html"].encode()), row["html"])


async def find_template(db: Database, template_id: str) -> Template | None:
    async with db.acquire() as connection:
        return _template(await queries.find_template(connection, template_id=template_id))


class StoredTemplate(NamedTuple):
    """What a send needs of its template: `bytes` of HTML, the current version, and the HTML itself if its engine is
    jinja."""

    bytes: int
    version: int
    jinja: str | None


async def find_template_bytes(
    connection: "Connection", wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], StoredTemplate]:
    """`wanted`: template ids with their domains. Out: those that exist. One query, however many."""
    valid = [each for each in wanted if is_template_id(each[0])]  # PostgreSQL refuses a text with a NUL
    rows = queries.find_template_bytes(
        connection,
        template_ids=[template_id for template_id, _ in valid],
        domains=[domain for _, domain in valid],
    )
    return {
        (row["template_id"], row["domain"]): StoredTemplate(row["bytes"], row["version"], row["jinja"])
        async for row in rows
    }


async def find_partials(connection: "Connection", domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
    """Titles and HTML of the domain's jinja templates that have one of these titles."""
    valid = [title for title in titles if "\x00" not in title]
    rows = queries.find_partials(connection, domain=domain, titles=valid)
    return [(row["title"], row["html"]) async for row in rows]


@repeat_on_conflict
async def delete_template(db: Database, template_id: str) -> Template | None:
    """Raises FailedPrecondition while deliveries that need it wait.

    The lock comes first: a concurrent send is either committed before the check, or finds no template.
    """
    async with db.transaction() as connection:
        if await queries.lock_template(connection, template_id=template_id) is None:
            return None
        if await queries.template_is_needed(connection, template_id=template_id):
            raise FailedPrecondition("template_id: deliveries that need this template still wait")
        return _template(await queries.delete_template(connection, template_id=template_id))


async def list_templates(db: Database, domain: str, *, skip: int, take: int) -> tuple[list[Template], int]:
    """A page of the domain's persistent ones, oldest first, and the total."""
    async with db.acquire() as connection:
        total: int = await queries.count_templates(connection, domain=domain)
        if not take:
            return [], total
        rows = queries.list_templates(connection, domain=domain, skip=skip, take=take)
        return [_read(row) async for row in rows], total


def _template(row: Any) -> Template | None:
    return None if row is None else _read(row)


def _read(row: Any) -> Template:
    return Template(
        template_id=row["template_id"],
        domain=row["domain"],
        kind=row["type"],
        engine=Engine(row["engine"]),
        title=row["title"],
        html=row["html"],
        version=row["version"],
    )
