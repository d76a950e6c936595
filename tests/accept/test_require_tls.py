"""`require_tls` of a send, from the call to the envelope on the bus."""

from datetime import UTC, datetime

import pytest

from kannon.components.dispatcher import Builder
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.mail.envelope import Envelope
from kannon.pb.mailer.v1.mailer_grpc import MailerStub
from kannon.pb.mailer.v1.mailer_pb2 import SendRawRequest
from kannon.wire.envelopes import encode_envelope, parse_envelope, to_envelope
from tests.accept.test_whole_message import OPTIONS, now
from tests.support.api import a_send, running_api

RAW = b"From: a@example.com\r\nTo: bob@example.net\r\nSubject: x\r\n\r\nHello.\r\n"


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "html"])
async def test_it_comes_to_the_sender(db: Database, raw: bool, required: bool) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        if raw:
            request = SendRawRequest(message=RAW, recipients=["bob@example.net"], require_tls=required)
            await MailerStub(api.channel).SendRaw(request, metadata=key)
        else:
            await api.mailer.SendHTML(a_send(require_tls=required), metadata=key)
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET state = 'scheduled'")
    async with Builder(db, OPTIONS, workers=0, clock=lambda: datetime.now(UTC)) as builder:
        built = await builder.build(await claim_due(db, 100), now())
    for envelope in built:
        assert isinstance(envelope, Envelope), envelope
        assert envelope.require_tls is required
        assert to_envelope(parse_envelope(encode_envelope(envelope)), envelope.body) == envelope
