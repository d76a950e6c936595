"""`kannon keys`: creates, lists and revokes API keys. A key authenticates sends of one domain."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from kannon.cli.completion import complete_domain, complete_key
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.pb.admin.apiv1.adminapiv1_pb2 import APIKey

app = typer.Typer(help="API keys of a domain.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]


@client_command(app, "create")
async def create(
    session: Session,
    domain: Domain,
    name: Annotated[str, typer.Option(help="A label for people.")] = "default",
    expires: Annotated[str, typer.Option(help='When it expires: "90d" from now, or an ISO time. Default: never.')] = "",
) -> None:
    """Create an API key and print it. The server cannot print it again."""
    expires_at = parse_time(expires, datetime.now(UTC), "--expires", ahead=True) if expires else None
    key, secret = await session.admin.create_api_key(domain, name, expires_at=expires_at)
    session.output.lines(secret, {"api_key": key, "key": secret})
    session.output.next(f"kannon send --from you@{domain} --subject SUBJECT --html FILE --to ADDRESS --key THIS_KEY")


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Domain,
    active: Annotated[bool, typer.Option("--active", help="Only keys that are neither revoked nor expired.")] = False,
) -> None:
    """List the API keys of a domain, newest first."""
    keys, total = await session.admin.list_api_keys(domain, only_active=active, limit=1000)
    columns = ["id", "key", prose("name"), "state", "created"]
    rows = [_row(session.output, key) for key in keys]
    session.output.table(columns, rows, {"api_keys": keys, "total": total}, Total("API key", "API keys", total))
    if not rows:
        session.output.next(f"kannon keys create {domain}")


@client_command(app, "revoke")
async def revoke(
    session: Session,
    domain: Domain,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", show_default=False, autocompletion=complete_key)],
) -> None:
    """Revoke an API key for good."""
    key = await session.admin.deactivate_api_key(domain, key_id)
    session.output.lines(f"{key.id} is revoked", key)
    session.output.next(f"kannon keys list {domain} --active")


def _row(output: Output, key: APIKey) -> list[str]:
    if key.HasField("deactivated_at"):
        state = f"revoked {output.time(key.deactivated_at)}"
    elif not key.is_active:
        state = f"expired {output.time(key.expires_at)}"
    else:
        state = f"until {output.time(key.expires_at)}" if key.HasField("expires_at") else "active"
    return [key.id, key.key, key.name, state, output.time(key.created_at)]
