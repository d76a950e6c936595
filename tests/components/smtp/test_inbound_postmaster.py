"""Mail for people: kept in a Maildir, whatever it says."""

import mailbox
import stat
from pathlib import Path

import pytest

from kannon.components.smtp import Limits
from kannon.components.smtp.postmaster import MailboxFull, PostmasterMailbox
from kannon.errors import Unavailable
from kannon.mail.event import EventType
from tests.support.inbound import COMPLAINT, DOMAIN, FAILURE, HOSTNAME, Running, bounce_to, running


@pytest.mark.parametrize(
    "address",
    [f"postmaster@{DOMAIN}", f"Abuse@{DOMAIN.upper()}", "postmaster", "POSTMASTER", f"postmaster@{HOSTNAME}"],
)
async def test_kept_as_it_came_behind_its_trace(server: Running, address: str) -> None:
    async with server.connect() as peer:
        await peer.say("MAIL FROM:<someone@remote.example>")
        assert (await peer.say(f"RCPT TO:<{address}>")).startswith("250")
        await peer.say("DATA")
        assert (await peer.say(FAILURE + b".\r\n")).startswith("250")
    (mail,) = mailbox.Maildir(server.data_dir / "postmaster", create=False)
    assert mail["Return-Path"] == "<someone@remote.example>"
    assert mail["Delivered-To"] == address
    assert f"by {HOSTNAME}" in mail["Received"]
    (path,) = (server.data_dir / "postmaster" / "new").iterdir()
    assert path.read_bytes().endswith(FAILURE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((server.data_dir / "postmaster" / "new").stat().st_mode) == 0o700
    assert list((server.data_dir / "postmaster" / "tmp").iterdir()) == []
    assert server.outbox.published == 0  # a report sent to people is not read by the machine


async def test_a_disk_that_refuses_is_451(server: Running) -> None:
    (server.data_dir / "postmaster").write_text("a file where the mailbox should be")
    async with server.connect() as peer:
        assert (await peer.send_mail([f"postmaster@{DOMAIN}"], FAILURE)).startswith("451 4.3.0")


async def test_a_full_mailbox_is_452(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(max_unread=2)) as server, server.connect() as peer:
        replies = [(await peer.send_mail([f"postmaster@{DOMAIN}"], FAILURE))[:9] for _ in range(3)]
    assert replies == ["250 2.0.0", "250 2.0.0", "452 4.3.1"]


async def test_strangers_cannot_fill_the_disk(tmp_path: Path) -> None:
    """Few large mails weigh as much as many small ones; what people have read or deleted makes room again."""
    large = FAILURE + (b"x" * 70 + b"\r\n") * 1000
    async with running(tmp_path, limits=Limits(max_unread_bytes=200_000)) as server, server.connect() as peer:
        replies = [(await peer.send_mail([f"postmaster@{DOMAIN}"], large))[:9] for _ in range(4)]
        assert replies == ["250 2.0.0", "250 2.0.0", "452 4.3.1", "452 4.3.1"]
        assert (await peer.send_mail([f"postmaster@{DOMAIN}"], FAILURE)).startswith("250")
        kept = (server.data_dir / "postmaster" / "new").iterdir()
        max(kept, key=lambda path: path.stat().st_size).unlink()
        assert (await peer.send_mail([f"postmaster@{DOMAIN}"], large)).startswith("250")


def test_the_mailbox_itself(tmp_path: Path) -> None:
    box = PostmasterMailbox(tmp_path / "a" / "b", max_unread=1, max_bytes=10)
    box.deliver(b"x")
    with pytest.raises(MailboxFull):
        box.deliver(b"y")
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        PostmasterMailbox(tmp_path / "file" / "c", max_unread=1, max_bytes=10).deliver(b"x")


def about(address: str, report: bytes = COMPLAINT) -> bytes:
    """The report, with the mail that it is about."""
    original = (
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <{address}>\r\nSubject: Sale\r\n\r\nBuy!\r\n--b--\r\n"
    )
    return report.replace(b"--b--\r\n", original.encode())


async def test_a_feedback_loop_that_reports_to_abuse_is_read_and_kept(server: Running) -> None:
    mail = about(bounce_to(7).upper().replace("B-", "b-"))
    async with server.connect() as peer:
        for _ in range(2):
            assert (await peer.send_mail([f"abuse@{DOMAIN}"], mail)).startswith("250")
    [event] = server.outbox.events.values()
    assert (event.type, event.delivery_id, event.email) == (EventType.COMPLAINED, 7, "user7@remote.example")
    assert len(list((server.data_dir / "postmaster" / "new").iterdir())) == 2


async def test_mail_to_abuse_that_is_no_complaint_of_ours_is_only_kept(server: Running) -> None:
    forged = bounce_to(7, secret=b"x" * 32)
    expired = bounce_to(7, days=-1)
    mails = [
        about(forged),
        about(expired),
        about(f"someone@{DOMAIN}"),
        about(bounce_to(7), FAILURE),
        about(bounce_to(5000)),
    ]
    async with server.connect() as peer:
        for mail in mails:
            assert (await peer.send_mail([f"abuse@{DOMAIN}"], mail)).startswith("250")
    assert server.outbox.published == 0
    assert len(list((server.data_dir / "postmaster" / "new").iterdir())) == len(mails)
