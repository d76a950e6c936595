"""Shell completion of names and ids: asks the server, and offers nothing while it does not answer.

In: what is typed so far, with its --server, --token, --ca and --config. Out: words that begin with the incomplete one,
some with a description. No error reaches the shell, and no key press waits longer than SECONDS.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import typer

if TYPE_CHECKING:
    from kannon.client import Client

SECONDS = 1.5
DOMAINS = 20  # whose batches, templates or addresses are offered where no domain is typed
NEWEST = 20  # batches of a domain
DELIVERIES = 100

Words = list[tuple[str, str]]
"""Each with a description, which may be empty."""


def complete_domain(ctx: typer.Context, incomplete: str) -> Words:
    return _ask(ctx, incomplete, _domains)


def complete_batch(ctx: typer.Context, incomplete: str) -> Words:
    return _ask(ctx, incomplete, _batches)


def complete_template(ctx: typer.Context, incomplete: str) -> Words:
    return _ask(ctx, incomplete, _templates)


def complete_delivery(ctx: typer.Context, incomplete: str) -> Words:
    return _ask(ctx, incomplete, _deliveries)


def complete_delivery_or_batch(ctx: typer.Context, incomplete: str) -> Words:
    return _ask(ctx, incomplete, _batches if incomplete.startswith("m") else _deliveries)


def complete_key(ctx: typer.Context, incomplete: str) -> Words:
    """Of the domain that is typed before it."""
    return _ask(ctx, incomplete, _keys)


def complete_selector(ctx: typer.Context, incomplete: str) -> Words:
    """Of the domain that is typed before it."""
    return _ask(ctx, incomplete, _selectors)


def _ask(ctx: typer.Context, incomplete: str, ask: Callable[["Client", str], AsyncIterator[tuple[str, str]]]) -> Words:
    """`ask` gets the domain that is typed, or ""."""
    found: Words = []

    async def gather() -> None:
        client = _client(ctx)
        try:
            with anyio.move_on_after(SECONDS):
                async for word, description in ask(client, str(ctx.params.get("domain") or "")):
                    if word.startswith(incomplete):
                        found.append((word, description))
        finally:
            client.close()

    try:
        anyio.run(gather)
    except Exception:  # also a wrong configuration: a key press prints no error
        return found
    return found


def _client(ctx: typer.Context) -> "Client":
    # Late import: connection.py imports this module's users.
    from kannon.cli.connection import Endpoint

    given = {name: ctx.params.get(name) for name in ("server", "token", "ca", "config")}
    paths = [Path(str(given[name])) if given[name] else None for name in ("ca", "config")]
    endpoint = Endpoint(str(given["server"] or ""), str(given["token"] or ""), *paths)
    return endpoint.client(admin_token=endpoint.admin_token(), timeout_seconds=SECONDS)


async def _domains(client: "Client", _: str) -> AsyncIterator[tuple[str, str]]:
    for domain in await client.list_domains():
        yield domain.domain, ""


async def _of_domains(client: "Client", typed: str) -> list[str]:
    return [typed] if typed else [each.domain for each in (await client.list_domains())[:DOMAINS]]


async def _batches(client: "Client", typed: str) -> AsyncIterator[tuple[str, str]]:
    for domain in await _of_domains(client, typed):
        for batch in (await client.list_batches(domain, take=NEWEST)).batches:
            yield batch.message_id, batch.subject


async def _templates(client: "Client", typed: str) -> AsyncIterator[tuple[str, str]]:
    for domain in await _of_domains(client, typed):
        for template in (await client.list_templates(domain))[0]:
            yield template.template_id, template.title


async def _deliveries(client: "Client", typed: str) -> AsyncIterator[tuple[str, str]]:
    for delivery in (await client.list_deliveries(typed, take=DELIVERIES)).deliveries:
        yield str(delivery.delivery_id), f"{delivery.email} {delivery.state}"


async def _keys(client: "Client", typed: str) -> AsyncIterator[tuple[str, str]]:
    for key in (await client.list_api_keys(typed, limit=NEWEST))[0]:
        yield key.id, key.name


async def _selectors(client: "Client", typed: str) -> AsyncIterator[tuple[str, str]]:
    for key in await client.list_dkim_keys(typed):
        yield key.selector, f"{key.algorithm} {key.state}"
