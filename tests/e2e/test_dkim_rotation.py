"""A rotation while mail is in flight: every mail verifies with the DNS records at its arrival."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grpclib.const import Status

from kannon.pb.admin.v1 import dkim_pb2 as pb
from kannon.pb.admin.v1.dkim_grpc import DkimStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.api import refusal
from tests.support.dkim_zone import Signature, signatures
from tests.support.dns_server import DnsServer, Zone, serving_dns, txt
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Client, Kannon

DOMAIN = "example.com"
RSA, ED = "rsa-sha256", "ed25519-sha256"


@dataclass
class Receiver:
    """Defers recipients named `later…` until it is `open`."""

    open: bool = False

    def answer(self, address: str) -> str:
        return "451 4.7.1 Greylisted" if address.startswith("later") and not self.open else "250 2.1.5 OK"


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def box(receiver: Receiver) -> AsyncIterator[Inbox]:
    async with inbox(receiver.answer) as box:
        yield box


@pytest.fixture
def zone() -> Zone:
    return {}


@pytest.fixture
async def kannon(tmp_path: Path, box: Inbox, zone: Zone) -> AsyncIterator[Kannon]:
    async with serving_dns(DnsServer(zone)) as nameserver:
        route = {"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}
        extra = {
            "KANNON_SENDER__ROUTES": json.dumps([route]),
            "KANNON_RETRY__FIRST": "1s",
            "KANNON_DNS__NAMESERVERS": json.dumps([nameserver]),
        }
        kannon = Kannon(tmp_path / "data", extra).start()
        try:
            yield await kannon.ready()
        finally:
            kannon.kill()


async def send(client: Client, *names: str) -> None:
    recipients = [Recipient(email=f"{name}@inbox.test", fields={"name": name}) for name in names]
    sender = Sender(email=f"news@{DOMAIN}", alias="News")
    html = '<p>Hi {{ name }}, <a href="https://shop.example/">buy</a></p>'
    answer = await client.send(SendHTMLReq(sender=sender, subject="Hi {{ name }}", html=html, recipients=recipients))
    assert answer.accepted_count == len(names)


async def next_key(client: Client, zone: Zone, algorithm: str) -> pb.DkimKey:
    """Creates, publishes and activates a key."""
    stub = DkimStub(client.channel)
    create = pb.CreateDkimKeyRequest(domain=DOMAIN, algorithm=algorithm)
    made = (await stub.CreateDkimKey(create, metadata=client.admin)).key
    activate = pb.ActivateDkimKeyRequest(domain=DOMAIN, selector=made.selector)
    status, text = await refusal(stub.ActivateDkimKey(activate, metadata=client.admin))
    assert (status, text.split(";")[0]) == (Status.FAILED_PRECONDITION, f"{made.record_name} TXT: missing")
    zone[made.record_name, "TXT"] = txt(made.record_value)
    return (await stub.ActivateDkimKey(activate, metadata=client.admin)).key


async def test_mail_verifies_before_during_and_after_a_rotation(
    kannon: Kannon, box: Inbox, receiver: Receiver, zone: Zone
) -> None:
    client = kannon.client()
    zone[f"kannon._domainkey.{DOMAIN}", "TXT"] = txt(f"v=DKIM1; k=rsa; p={await client.add_domain(DOMAIN)}")
    later = [f"later{n}" for n in range(20)]
    await send(client, "before", *later)
    await client.outcomes(DOMAIN, 1)

    assert (await next_key(client, zone, RSA)).selector == "kannon2"
    delete = pb.DeleteDkimKeyRequest(domain=DOMAIN, selector="kannon")
    refused, _ = await refusal(DkimStub(client.channel).DeleteDkimKey(delete, metadata=client.admin))
    assert refused is Status.FAILED_PRECONDITION
    await send(client, "after")
    await client.outcomes(DOMAIN, 2)
    receiver.open = True
    assert set((await client.outcomes(DOMAIN, 22)).values()) == {"delivered"}

    assert (await next_key(client, zone, ED)).selector == "kannon3"
    await send(client, "both")
    await client.outcomes(DOMAIN, 23)

    mails = {recipient.split("@")[0]: signatures(mail, zone) for recipient, mail in box.mails}
    first, second = Signature("kannon", RSA, verifies=True), Signature("kannon2", RSA, verifies=True)
    assert mails["before"] == [first]
    assert mails["after"] == [second]
    assert mails["both"] == [second, Signature("kannon3", ED, verifies=True)]
    assert {tuple(mails[name]) for name in later} <= {(first,), (second,)}
    # The two signatures are independent: each fails if the mail changes, and neither needs the other's record.
    [raw] = [mail for recipient, mail in box.mails if recipient == "both@inbox.test"]
    assert [s.verifies for s in signatures(raw.replace(b"Subject: Hi", b"Subject: Ho"), zone)] == [False, False]
    del zone[f"kannon2._domainkey.{DOMAIN}", "TXT"]
    assert [s.verifies for s in signatures(raw, zone)] == [False, True]
    client.close()
    assert await kannon.stop() == 0
    assert "Traceback" not in kannon.text()
