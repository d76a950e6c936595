"""Large requests are parsed outside the event loop's thread, and come to the same as those parsed at once."""

import os
import threading
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from grpclib.const import Status

from kannon.components.api.grpc.codecs import LateCodec
from kannon.components.api.parsing import PIECE_BYTES, Unparsed, pieces
from kannon.db.pool import Database
from kannon.mail.send_request import Limits
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from kannon.wire.sends import MessageSource
from tests.support.api import a_send, refusal, running_api


def large_send(recipients: int = 20_000) -> SendHTMLReq:
    request = a_send(
        recipients=[Recipient(email=f"user{n}@example.net", fields={"name": f"N {n}"}) for n in range(recipients)],
        global_fields={"a": "b"},
    )
    request.attachments.add(filename="a.bin", content=os.urandom(3 * PIECE_BYTES))
    request.scheduled_time.seconds = 5
    return request


async def test_what_is_parsed_in_pieces_is_the_same_message() -> None:
    request = large_send()
    data = request.SerializeToString()
    unparsed = LateCodec().decode(data, SendHTMLReq)
    assert isinstance(unparsed, Unparsed)
    assert await unparsed.parse() == request
    cut = list(pieces(data))
    assert b"".join(cut) == data
    assert len(cut) > 3
    assert max(map(len, cut)) < 4 * PIECE_BYTES  # one attachment is one field
    assert LateCodec().decode(a_send().SerializeToString(), SendHTMLReq) == a_send()


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:-1], lambda d: d + b"\x0b", lambda d: d + b"\xff" * 12, lambda d: b"\xff" * len(d)]
)
async def test_what_is_no_message_is_found_out_all_the_same(spoil: Any) -> None:
    data = spoil(large_send(7000).SerializeToString())
    with pytest.raises(DecodeError):
        SendHTMLReq.FromString(data)
    with pytest.raises(DecodeError):
        await Unparsed(data, SendHTMLReq).parse()


async def test_large_requests_are_parsed_and_hashed_outside_the_loops_thread(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, int] = {}
    parse, digest = Unparsed.parse_here, MessageSource.digest

    def parse_here(self: Unparsed) -> Message:
        threads["parse"] = threading.get_ident()
        return parse(self)

    def digest_here(self: MessageSource) -> bytes:
        threads["digest"] = threading.get_ident()
        return digest(self)

    monkeypatch.setattr(Unparsed, "parse_here", parse_here)
    monkeypatch.setattr(MessageSource, "digest", digest_here)
    async with running_api(db, limits=Limits(8 << 20, 30_000), max_request_bytes=8 << 20) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com") | {"idempotency-key": "once"}
        assert await refusal(api.mailer.SendHTML(large_send(), metadata=key)) == (Status.OK, "")
    assert threads.keys() == {"parse", "digest"}
    assert threading.get_ident() not in threads.values()
