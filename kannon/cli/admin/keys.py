"""`kannon keys`: creates, changes, lists and revokes API keys of one domain: their scopes, networks and quotas."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from kannon.cli.completion import complete_domain, complete_key
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.cli.table import prose
from kannon.cli.timeparse import parse_time
from kannon.pb.admin.v1.keys_pb2 import Key, Quota

app = typer.Typer(help="API keys of a domain.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", show_default=False, autocompletion=complete_key)]
SCOPES = "send, read, suppressions, templates or webhooks"
ANYWHERE = "anywhere"
_PAGE = 1000


@client_command(app, "create")
async def create(
    session: Session,
    domain: Domain,
    name: Annotated[str, typer.Option(help="A label for people.")] = "default",
    expires: Annotated[str, typer.Option(help='When it expires: "90d" from now, or an ISO time. Default: never.')] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do: {SCOPES}. Repeatable. Default: send.", show_default=False)
    ] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or network (CIDR) it may be used from. Repeatable. Default: all.", show_default=False
        ),
    ] = None,
    rate: Annotated[int, typer.Option(help="Mails a second. 0: no limit.")] = 0,
    daily: Annotated[int, typer.Option(help="Mails a day (UTC). 0: no limit.")] = 0,
) -> None:
    """Create an API key and print it. The server cannot print it again."""
    expires_at = parse_time(expires, datetime.now(UTC), "--expires", ahead=True) if expires else None
    quota = Quota(per_second=rate, per_day=daily)
    key, secret = await session.admin.create_key(
        domain, name, expires_at=expires_at, scopes=scope or (), networks=allow_ip or (), quota=quota
    )
    session.output.lines(secret, {"api_key": key, "key": secret})
    if "send" in key.scopes:
        send = f"kannon send --from you@{domain} --subject SUBJECT --html FILE --to ADDRESS --key THIS_KEY"
        session.output.next(send)


@client_command(app, "list")
async def list_(
    session: Session,
    domain: Domain,
    active: Annotated[bool, typer.Option("--active", help="Only keys that are neither revoked nor expired.")] = False,
) -> None:
    """List the API keys of a domain, newest first."""
    keys, total = await session.admin.list_keys(domain, only_active=active, take=_PAGE)
    columns = ["id", "key", prose("name"), "state", "created", "scopes", "last used"]
    rows = [_row(session.output, key) for key in keys]
    session.output.table(columns, rows, {"api_keys": keys, "total": total}, Total("API key", "API keys", total))
    if not rows:
        session.output.next(f"kannon keys create {domain}")


@client_command(app, "show")
async def show(session: Session, domain: Domain, key_id: KeyId) -> None:
    """Show what an API key may do, from where, how much, and its last use."""
    key = await session.admin.find_key(domain, key_id)
    session.output.table(["what", "value"], _facts(session.output, key), key)


@client_command(app, "update")
async def update(
    session: Session,
    domain: Domain,
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="A label for people.", show_default=False)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"All that it may do from now on: {SCOPES}. Repeatable.", show_default=False),
    ] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(
            help=f'All addresses and networks it may be used from; "{ANYWHERE}". Repeatable.', show_default=False
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(help="Mails a second. 0: no limit.", show_default=False)] = None,
    daily: Annotated[int | None, typer.Option(help="Mails a day (UTC). 0: no limit.", show_default=False)] = None,
) -> None:
    """Change an API key. What is not given stays. Holds everywhere within a second."""
    if all(each is None or each == [] for each in (name, scope, allow_ip, rate, daily)):
        raise typer.BadParameter("nothing to change: give --name, --scope, --allow-ip, --rate or --daily")
    quota = None
    if rate is not None or daily is not None:
        quota = (await session.admin.find_key(domain, key_id)).quota
        quota.per_second = quota.per_second if rate is None else rate
        quota.per_day = quota.per_day if daily is None else daily
    networks = None if not allow_ip else [each for each in allow_ip if each != ANYWHERE]
    key = await session.admin.update_key(
        domain, key_id, name=name, scopes=scope or None, networks=networks, quota=quota
    )
    session.output.table(["what", "value"], _facts(session.output, key), key)


@client_command(app, "revoke")
async def revoke(session: Session, domain: Domain, key_id: KeyId) -> None:
    """Revoke an API key for good."""
    key = await session.admin.deactivate_api_key(domain, key_id)
    session.output.lines(f"{key.id} is revoked", key)
    session.output.next(f"kannon keys list {domain} --active")


def _row(output: Output, key: Key) -> list[str]:
    scopes = ",".join(key.scopes)
    return [key.id, key.key, key.name, _state(output, key), output.time(key.created_at), scopes, _last_use(output, key)]


def _facts(output: Output, key: Key) -> list[list[str]]:
    quota = key.quota
    return [
        ["id", key.id],
        ["key", key.key],
        ["name", key.name],
        ["state", _state(output, key)],
        ["created", output.time(key.created_at)],
        ["scopes", ", ".join(key.scopes)],
        ["allowed from", ", ".join(key.networks) or ANYWHERE],
        ["mails a second", str(quota.per_second or "no limit")],
        ["mails a day", str(quota.per_day or "no limit")],
        ["last used", _last_use(output, key)],
    ]


def _state(output: Output, key: Key) -> str:
    if key.HasField("deactivated_at"):
        return f"revoked {output.time(key.deactivated_at)}"
    if not key.is_active:
        return f"expired {output.time(key.expires_at)}"
    return f"until {output.time(key.expires_at)}" if key.HasField("expires_at") else "active"


def _last_use(output: Output, key: Key) -> str:
    return f"{output.time(key.last_used_at)} from {key.last_used_from}" if key.HasField("last_used_at") else "never"
