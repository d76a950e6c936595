"""The sandbox: mail into a folder, and the simulator's addresses with their answers over real SMTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kannon.config import Sender, Smtp
from kannon.mail.bounce import ReportKind, read_report
from kannon.mail.verdict import Deferred, Delivered, Refused, Stage
from kannon.outbound import Sandbox
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer, after, free_port, serving


@asynccontextmanager
async def sandbox(folder: Path, inbound: int) -> AsyncIterator[Sandbox]:
    settings = Sender.model_validate({"hostname": "me.test", "mode": "sandbox", "timeout_scale": 0.1})
    async with Sandbox(folder / "sandbox", settings, Smtp(listen=f"0.0.0.0:{inbound}")) as box:
        yield box


def kept(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in (folder / "sandbox" / "new").iterdir()]


@pytest.mark.parametrize("to", ["anybody@anywhere.example", "success@simulator.kannon", "bounce@elsewhere.example"])
async def test_mail_is_written_octet_for_octet(tmp_path: Path, to: str) -> None:
    async with sandbox(tmp_path, free_port()) as box:
        verdict = await box.deliver(an_envelope(to))
    assert isinstance(verdict, Delivered)
    assert kept(tmp_path) == [f"Return-Path: <b-1@sender.test>\r\nDelivered-To: {to}\r\n".encode() + BODY]
    assert not list((tmp_path / "sandbox" / "tmp").iterdir())


async def test_bounced_and_deferred_mail_is_not_written(tmp_path: Path) -> None:
    async with sandbox(tmp_path, free_port()) as box:
        bounced = await box.deliver(an_envelope("Bounce@Simulator.Kannon"))
        deferred = await box.deliver(an_envelope("defer@simulator.kannon"))
    assert isinstance(bounced, Refused)
    assert (bounced.reply.code, bounced.reply.enhanced, bounced.stage) == (550, "5.1.1", Stage.RCPT)
    assert isinstance(deferred, Deferred)
    assert deferred.reply is not None
    assert deferred.reply.code == 451
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("local", "code", "enhanced"),
    [
        ("bounce+x", 550, "5.1.1"),
        ("bounce-5.2.2", 550, "5.2.2"),
        ("Bounce-5.7.26+list-1", 550, "5.7.26"),
        ("defer+x", 451, "4.2.1"),
        ("defer-4.7.1", 451, "4.7.1"),
        ("delay+x", 451, "4.7.1"),
    ],
)
async def test_labels_and_codes(tmp_path: Path, local: str, code: int, enhanced: str) -> None:
    async with sandbox(tmp_path, free_port()) as box:
        verdict = await box.deliver(an_envelope(f"{local}@simulator.kannon"))
    assert isinstance(verdict, Deferred if code < 500 else Refused)
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.reply.enhanced) == (code, enhanced)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("local", ["bounce-4.2.2", "bounce-", "bounce-5.1.1x", "bouncer", "defer-5.1.1", "+bounce"])
async def test_any_other_address_of_the_simulator_is_delivered(tmp_path: Path, local: str) -> None:
    async with sandbox(tmp_path, free_port()) as box:
        assert isinstance(await box.deliver(an_envelope(f"{local}@simulator.kannon")), Delivered)


async def test_delayed_mail_is_deferred_once(tmp_path: Path) -> None:
    async with sandbox(tmp_path, free_port()) as box:
        assert isinstance(await box.deliver(an_envelope("delay@simulator.kannon")), Deferred)
        assert isinstance(await box.deliver(an_envelope("delay@simulator.kannon", attempt=2)), Delivered)
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(("who", "kind"), [("complaint+x", ReportKind.COMPLAINT), ("ooto", ReportKind.AUTO_REPLY)])
async def test_reports_go_to_the_bounce_address(tmp_path: Path, who: str, kind: ReportKind) -> None:
    inbound = Peer()
    async with serving(inbound) as port, sandbox(tmp_path, port) as box:
        assert isinstance(await box.deliver(an_envelope(f"{who}@simulator.kannon")), Delivered)
        await eventually(lambda: len(inbound.mails) == 1)
    assert len(kept(tmp_path)) == 1
    assert inbound.commands[1].startswith("MAIL FROM:<>")
    assert inbound.recipients == ["RCPT TO:<b-1@sender.test>"]
    assert read_report(inbound.mails[0].removesuffix(b".\r\n")).kind is kind


async def test_a_report_that_is_not_accepted_is_sent_again(tmp_path: Path) -> None:
    inbound = Peer({Stage.RCPT: after(1, "250 2.1.5 ok", first="451 4.3.0 not now")})
    async with serving(inbound) as port, sandbox(tmp_path, port) as box:
        await box.deliver(an_envelope("complaint@simulator.kannon"))
        await eventually(lambda: len(inbound.mails) == 1)
