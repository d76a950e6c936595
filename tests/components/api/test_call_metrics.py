"""Each call of a service is counted once, by method and status."""

import anyio
import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from kannon.db.pool import Database
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainReq, GetDomainsReq
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from tests.support.api import ADMIN, a_send, refusal, running_api
from tests.support.patience import patience
from tests.support.recorded_metrics import RecordedMetrics


async def test_calls_are_counted_by_method_and_status(db: Database) -> None:
    metrics = RecordedMetrics()
    async with running_api(db, metrics=metrics) as api:
        await api.create_domain("example.com")
        await api.admin.GetDomains(GetDomainsReq(), metadata=ADMIN)
        await refusal(api.admin.GetDomain(GetDomainReq(domain="absent.example"), metadata=ADMIN))
        await refusal(api.admin.GetDomains(GetDomainsReq()))
    assert metrics.calls == [
        ("Api.CreateDomain", "OK"),
        ("Api.GetDomains", "OK"),
        ("Api.GetDomain", "NOT_FOUND"),
        ("Api.GetDomains", "UNAUTHENTICATED"),
    ]


@pytest.mark.parametrize(("timeout", "expected"), [(0.2, "DEADLINE_EXCEEDED"), (None, "CANCELLED")])
async def test_calls_that_do_not_end_by_themselves_are_counted_too(
    db: Database, timeout: float | None, expected: str
) -> None:
    metrics = RecordedMetrics()
    async with running_api(db, metrics=metrics) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        channel = Channel(api.host, api.port)
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails IN EXCLUSIVE MODE")
            with anyio.move_on_after(0.2 if timeout is None else None):
                with pytest.raises((GRPCError, StreamTerminatedError, TimeoutError)):
                    await MailerStub(channel).SendHTML(a_send(), metadata=key, timeout=timeout)
            channel.close()
            with patience():
                while len(metrics.calls) < 3:
                    await anyio.sleep(0.01)
    assert metrics.calls[2:] == [("Mailer.SendHTML", expected)]
    assert expected in Status.__members__
