"""`kannon domains dkim`: the keys that sign a domain's mail, and how the next one takes over without a mail unsigned.

`rotate` is to be run twice: the first time it makes the next key and prints what to publish, the second time it looks
whether that is published and lets the key sign. `enable-ed25519` does the same for the second signature.
"""

from enum import StrEnum
from typing import Annotated

import typer

from kannon.cli.connection import Session, client_command
from kannon.cli.output import moment
from kannon.mail.dns.records import Kind, Purpose, Record
from kannon.pb.admin.v1.dkim_pb2 import DkimKey

app = typer.Typer(help="The keys that sign a domain's mail.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)]
Selector = Annotated[str, typer.Argument(metavar="SELECTOR", show_default=False)]
Unseen = Annotated[bool, typer.Option("--force", help="Let it sign, whatever the DNS shows.")]


class Algorithm(StrEnum):
    """As typed on the command line."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


@client_command(app, "list")
async def list_(session: Session, domain: Domain) -> None:
    """List a domain's keys, oldest first, and which of them belong in the DNS."""
    keys = await session.admin.list_dkim_keys(domain)
    rows = [[key.selector, key.algorithm, key.state, moment(key.created_at), _in_dns(key)] for key in keys]
    session.output.table(["selector", "algorithm", "state", "made", "in the DNS"], rows, {"keys": keys})


@client_command(app, "rotate")
async def rotate(
    session: Session,
    domain: Domain,
    algorithm: Annotated[Algorithm, typer.Option(help="Of which signature.")] = Algorithm.RSA,
    force: Unseen = False,
) -> None:
    """Make the next key; run again once it is published, let it sign."""
    await _advance(session, domain, algorithm, force=force)


@client_command(app, "activate")
async def activate(session: Session, domain: Domain, selector: Selector, force: Unseen = False) -> None:
    """Let a key sign, the next one or a former one that is still published."""
    await _activate(session, domain, selector, force=force)


@client_command(app, "delete")
async def delete(
    session: Session,
    domain: Domain,
    selector: Selector,
    force: Annotated[bool, typer.Option("--force", help="Though mail that it signed may be on its way.")] = False,
) -> None:
    """Delete a key that signs no more; its record may go from the DNS then."""
    key = await session.admin.delete_dkim_key(domain, selector, force=force)
    session.output.lines(f"{key.selector} is deleted; take {key.record_name} out of the DNS", key)


@client_command(app, "enable-ed25519")
async def enable_ed25519(session: Session, domain: Domain, force: Unseen = False) -> None:
    """Add a second signature, ed25519-sha256: make its key; run again once it is published, let it sign."""
    for key in await session.admin.list_dkim_keys(domain):
        if key.algorithm == Algorithm.ED25519 and key.state == "active":
            session.output.lines(f"{key.selector} signs already", key)
            return
    await _advance(session, domain, Algorithm.ED25519, force=force)


@client_command(app, "disable-ed25519")
async def disable_ed25519(session: Session, domain: Domain) -> None:
    """Sign with ed25519-sha256 no more."""
    keys = [key for key in await session.admin.list_dkim_keys(domain) if key.algorithm == Algorithm.ED25519]
    changed = [await session.admin.retire_dkim_key(domain, key.selector) for key in keys if key.state == "active"]
    # One that waits to sign never did: nobody needs it.
    changed += [await session.admin.delete_dkim_key(domain, key.selector) for key in keys if key.state == "next"]
    text = "\n".join(f"{key.selector} is {key.state}; in the DNS: {_in_dns(key)}" for key in changed)
    session.output.lines(text or "there was no ed25519-sha256 signature", {"keys": changed})


def record(key: DkimKey) -> Record:
    """What publishes it."""
    return Record(Purpose.DKIM, key.record_name, Kind.TXT, key.record_value)


async def _advance(session: Session, domain: str, algorithm: Algorithm, *, force: bool) -> None:
    """One step on: the next key is made, or if it is there, activated; with `force` both."""
    keys = await session.admin.list_dkim_keys(domain)
    selector = next((key.selector for key in keys if key.algorithm == algorithm and key.state == "next"), "")
    if not selector:
        key = await session.admin.create_dkim_key(domain, algorithm=algorithm)
        if not force:
            # The DNS is not asked yet: a name server would remember for a while that there is no such record.
            text = f"{key.selector} is made. Publish this record, then run the same command again:"
            session.output.lines(f"{text}\n{key.record_name}\tTXT\t{key.record_value}", key)
            return
        selector = key.selector
    await _activate(session, domain, selector, force=force)


async def _activate(session: Session, domain: str, selector: str, *, force: bool) -> None:
    key = await session.admin.activate_dkim_key(domain, selector, force=force)
    former = [k for k in await session.admin.list_dkim_keys(domain) if k.state == "retired" and k.publish]
    lines = [f"{key.selector} signs from now on; mail being built changes over within a minute"]
    lines += [f"{k.selector} is retired; in the DNS: {_in_dns(k)}" for k in former if k.algorithm == key.algorithm]
    session.output.lines("\n".join(lines), key)


def _in_dns(key: DkimKey) -> str:
    if not key.publish:
        return "no" if key.state == "deleted" else "no longer needed"
    return f"until {moment(key.needed_until)}" if key.HasField("needed_until") else "yes"
