"""`kannon domains dkim`: lists, rotates, activates and deletes the DKIM keys of a domain.

The operator runs `rotate` twice. The first run creates the next key and prints its DNS record. The second run checks
that the DNS has the record and activates the key, so no mail is unsigned. `enable-ed25519` does the same for the second
signature.
"""

from enum import StrEnum
from typing import Annotated

import typer

from kannon.cli.completion import complete_domain, complete_selector
from kannon.cli.connection import Session, client_command
from kannon.cli.output import Output, Total
from kannon.mail.dns.records import Kind, Purpose, Record
from kannon.pb.admin.v1.dkim_pb2 import DkimKey

app = typer.Typer(help="DKIM keys of a domain.", no_args_is_help=True, add_completion=False)

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False, autocompletion=complete_domain)]
Selector = Annotated[str, typer.Argument(metavar="SELECTOR", show_default=False, autocompletion=complete_selector)]
Unseen = Annotated[bool, typer.Option("--force", help="Activate the key without a check of the DNS.")]


class Algorithm(StrEnum):
    """As typed on the command line."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


@client_command(app, "list")
async def list_(session: Session, domain: Domain) -> None:
    """List a domain's keys, the oldest first, and whether to publish the record of each."""
    keys = await session.admin.list_dkim_keys(domain)
    rows = [
        [key.selector, key.algorithm, key.state, session.output.time(key.created_at), _publish(session.output, key)]
        for key in keys
    ]
    columns = ["selector", "algorithm", "state", "created", "publish"]
    session.output.table(columns, rows, {"keys": keys}, Total("key", "keys"))
    session.output.next(f"kannon domains dns {domain}, or kannon domains dkim rotate {domain}")


@client_command(app, "rotate")
async def rotate(
    session: Session,
    domain: Domain,
    algorithm: Annotated[Algorithm, typer.Option(help="The signature to change.")] = Algorithm.RSA,
    force: Unseen = False,
) -> None:
    """Create the next key. Once its record is published, run this again to activate it."""
    await _advance(session, domain, algorithm, force=force)


@client_command(app, "activate")
async def activate(session: Session, domain: Domain, selector: Selector, force: Unseen = False) -> None:
    """Activate a key: the next one, or a former one that is still published."""
    await _activate(session, domain, selector, force=force)


@client_command(app, "delete")
async def delete(
    session: Session,
    domain: Domain,
    selector: Selector,
    force: Annotated[
        bool, typer.Option("--force", help="Delete it even if mail that it signed may still be in flight.")
    ] = False,
) -> None:
    """Delete a key that is not active. Remove its record from the DNS afterwards."""
    key = await session.admin.delete_dkim_key(domain, selector, force=force)
    session.output.lines(f"{key.selector} is deleted; remove {key.record_name} from the DNS", key)
    session.output.next(f"kannon domains dkim list {domain}")


@client_command(app, "enable-ed25519")
async def enable_ed25519(session: Session, domain: Domain, force: Unseen = False) -> None:
    """Create a key for a second signature. Once its record is published, run this again to activate it."""
    for key in await session.admin.list_dkim_keys(domain):
        if key.algorithm == Algorithm.ED25519 and key.state == "active":
            session.output.lines(f"{key.selector} is active already", key)
            return
    await _advance(session, domain, Algorithm.ED25519, force=force)


@client_command(app, "disable-ed25519")
async def disable_ed25519(session: Session, domain: Domain) -> None:
    """Remove the ed25519-sha256 signature."""
    keys = [key for key in await session.admin.list_dkim_keys(domain) if key.algorithm == Algorithm.ED25519]
    changed = [await session.admin.retire_dkim_key(domain, key.selector) for key in keys if key.state == "active"]
    # The next key has signed no mail, so no verifier needs its record.
    changed += [await session.admin.delete_dkim_key(domain, key.selector) for key in keys if key.state == "next"]
    text = "\n".join(f"{key.selector} is {key.state}; publish: {_publish(session.output, key)}" for key in changed)
    session.output.lines(text or "the domain has no ed25519-sha256 signature", {"keys": changed})
    session.output.next(f"kannon domains dkim list {domain}")


def record(key: DkimKey) -> Record:
    """The DNS record that publishes the key."""
    return Record(Purpose.DKIM, key.record_name, Kind.TXT, key.record_value)


async def _advance(session: Session, domain: str, algorithm: Algorithm, *, force: bool) -> None:
    """Creates the next key, or activates it if it exists; with `force` both."""
    keys = await session.admin.list_dkim_keys(domain)
    selector = next((key.selector for key in keys if key.algorithm == algorithm and key.state == "next"), "")
    if not selector:
        key = await session.admin.create_dkim_key(domain, algorithm=algorithm)
        if not force:
            # No DNS query here: a resolver would cache that the record does not exist.
            text = f"{key.selector} is created. Publish this record, then run the same command again:"
            session.output.lines(f"{text}\n{key.record_name}\tTXT\t{key.record_value}", key)
            return
        selector = key.selector
    await _activate(session, domain, selector, force=force)


async def _activate(session: Session, domain: str, selector: str, *, force: bool) -> None:
    key = await session.admin.activate_dkim_key(domain, selector, force=force)
    former = [k for k in await session.admin.list_dkim_keys(domain) if k.state == "retired" and k.publish]
    lines = [f"{key.selector} is active; the builders use it within a minute"]
    lines += [
        f"{k.selector} is retired; publish: {_publish(session.output, k)}"
        for k in former
        if k.algorithm == key.algorithm
    ]
    session.output.lines("\n".join(lines), key)
    session.output.next(f"kannon domains dkim list {domain}")


def _publish(output: Output, key: DkimKey) -> str:
    """Whether its record belongs in the DNS. `kannon domains dns --verify` asks the DNS whether it is there."""
    if not key.publish:
        return "no" if key.state == "deleted" else "no longer needed"
    return f"until {output.time(key.needed_until)}" if key.HasField("needed_until") else "yes"
