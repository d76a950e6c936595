"""Mail programs of others send over submission of `kannon serve`, and what they send arrives at the far end.

A mail that its author signed, by S/MIME or PGP, arrives byte for byte.
"""

import base64
import email
import email.policy
import json
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import anyio.to_thread
import dkim
import pytest

from kannon.pb.mailer.v1.mailer_grpc import MailerStub
from kannon.pb.mailer.v1.mailer_pb2 import SendRawRequest
from tests.support.certificates import make_authority
from tests.support.eventually import eventually
from tests.support.inbox import Inbox, inbox
from tests.support.interop import find_program
from tests.support.kannon_process import Client, Kannon
from tests.support.made_data import make_data
from tests.support.mail_clients import (
    ATTACHMENT,
    SUBJECT,
    TEXT,
    Account,
    Send,
    Sign,
    end_gpg_agent,
    send_by_django,
    send_by_nodemailer,
    send_by_phpmailer,
    send_by_smtplib,
    send_by_swaks,
    sign_pgp,
    sign_smime,
)
from tests.support.submission import logging_in

DOMAIN, SENDER = "example.com", "news@example.com"


@dataclass
class World:
    """A server with one domain, and the inbox that all its mail goes to."""

    client: Client
    account: Account
    public_key: str
    box: Inbox

    async def arrived(self, to: str) -> bytes:
        """The one mail to this address; its DKIM signature is valid."""
        await eventually(lambda: self.box.copies()[to] > 0)
        [raw] = [mail for recipient, mail in self.box.mails if recipient == to]
        assert dkim.verify(raw, dnsfunc=lambda *_, **__: f"v=DKIM1; k=rsa; p={self.public_key}".encode())
        return raw


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("clients")
    authority = make_authority(folder)
    certificate = str(authority.issue_file("localhost"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_MADE_DATA", str(make_data(run_folder)))
        async with inbox() as box:
            route = {"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}
            settings = {
                "KANNON_SENDER__ROUTES": json.dumps([route]),
                "KANNON_SUBMISSION__TLS_CERT": certificate,
                "KANNON_SUBMISSION__TLS_KEY": certificate,
            }
            kannon = Kannon(folder / "data", settings).start()
            try:
                await kannon.ready()
                client = kannon.client()
                public_key = await client.add_domain(DOMAIN)
                login = base64.b64decode(client.credentials[DOMAIN].removeprefix("Basic ")).decode().split(":")
                account = Account("localhost", kannon.ports["submission"], authority.pem, *login)
                yield World(client, account, public_key, box)
            finally:
                kannon.kill()


CLIENTS = [
    pytest.param(send_by_swaks, "<~  250 2.0.0 accepted as msg_", "<~* 550 5.7.1 sender domain", id="swaks"),
    pytest.param(send_by_smtplib, "", "smtplib.SMTPDataError: (550, b'5.7.1 sender domain", id="smtplib"),
    pytest.param(send_by_nodemailer, "250 2.0.0 accepted as msg_", "Message failed: 550 5.7.1 sender", id="Nodemailer"),
    pytest.param(
        send_by_phpmailer,
        "250 2.0.0 accepted as msg_",
        "DATA END command failed: 550 5.7.1 sender domain",
        id="PHPMailer",
    ),
    pytest.param(
        send_by_django, "1\n", "smtplib.SMTPDataError: (550, b'5.7.1 sender", id="Django", marks=pytest.mark.long
    ),
]


@pytest.mark.parametrize(("send", "accepted", "refused"), CLIENTS)
async def test_a_mail_program_sends_and_reads_a_refusal(world: World, send: Send, accepted: str, refused: str) -> None:
    to = f"{send.__name__}@inbox.test"
    sent = await anyio.to_thread.run_sync(send, world.account, SENDER, to)
    assert (sent.code, accepted in sent.printed) == (0, True), sent.printed
    message = email.message_from_bytes(await world.arrived(to), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert (message["From"].addresses[0].addr_spec, message["Subject"]) == (SENDER, SUBJECT)
    text = message.get_body(("plain",))
    assert text is not None
    assert text.get_content().rstrip().replace("\r\n", "\n") == TEXT
    attached = [part.get_content() for part in message.iter_attachments()]
    assert attached == ([] if send is send_by_swaks else [ATTACHMENT])

    foreign = await anyio.to_thread.run_sync(send, world.account, "news@other.example", f"foreign-{to}")
    assert foreign.code != 0
    assert refused in foreign.printed, foreign.printed
    assert "other.example" in foreign.printed
    assert world.box.copies()[f"foreign-{to}"] == 0


async def test_smtp_source_sends_many_and_reads_a_refusal(world: World) -> None:
    def source(port: int, sender: str, to: str) -> "subprocess.CompletedProcess[str]":
        switches = ["-4", "-s", "5", "-m", "50", "-l", "2000", "-f", sender, "-t", to]
        command = [find_program("smtp-source"), *switches, f"127.0.0.1:{port}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    credentials = f"\0{world.account.user}\0{world.account.password}"
    async with logging_in(("127.0.0.1", world.account.port), credentials) as port:
        sent = await anyio.to_thread.run_sync(source, port, SENDER, "source@inbox.test")
        assert (sent.returncode, sent.stderr) == (0, "")
        foreign = await anyio.to_thread.run_sync(source, port, "news@other.example", "foreign@inbox.test")
    assert "550 5.7.1 sender domain" in foreign.stderr
    await eventually(lambda: world.box.copies()["source@inbox.test"] == 50)
    assert world.box.copies()["foreign@inbox.test"] == 0
    mails = [mail for recipient, mail in world.box.mails if recipient == "source@inbox.test"]
    assert all(mail.count(b"X") >= 1900 for mail in mails)


@pytest.fixture
def gpg_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpg-") as folder:
        yield Path(folder)
        end_gpg_agent(Path(folder))


def submit(account: Account, to: str, mail: bytes) -> None:
    with smtplib.SMTP(account.host, account.port) as client:
        client.starttls(context=ssl.create_default_context(cafile=account.ca))
        client.login(account.user, account.password)
        client.sendmail(SENDER, [to], mail)


@pytest.mark.parametrize("sign", [sign_smime, sign_pgp])
async def test_a_signed_mail_arrives_byte_for_byte(world: World, gpg_home: Path, sign: Sign) -> None:
    to = f"{sign.__name__}@inbox.test"
    mail, verify = sign(gpg_home, SENDER, to)
    text = verify(mail)
    assert b"A text." in text

    await anyio.to_thread.run_sync(submit, world.account, to, mail)
    submitted = await world.arrived(to)
    raw = SendRawRequest(message=mail, recipients=[f"raw-{to}"])
    await MailerStub(world.client.channel).SendRaw(raw, metadata={"authorization": world.client.credentials[DOMAIN]})
    sent = await world.arrived(f"raw-{to}")
    for received in (submitted, sent):
        assert received.endswith(mail)
        assert verify(received) == text
        with pytest.raises(subprocess.CalledProcessError):
            verify(received.replace(b"A text.", b"A test."))
