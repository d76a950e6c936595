"""Health for operators and load balancers, and reflection."""

import anyio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpclib.const import Status
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpclib.reflection.v1.reflection_grpc import ServerReflectionStub
from grpclib.reflection.v1.reflection_pb2 import ServerReflectionRequest

from kannon.components.api.services.health import HZMethods
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.pb.admin.apiv1.adminapiv1_grpc import HZServiceStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest
from tests.support.api import refusal, running_api
from tests.support.patience import patience
from tests.support.services import SERVICES


async def test_health_speaks_for_each_service_and_for_all(db: Database) -> None:
    async with running_api(db) as api:
        health = HealthStub(api.channel)
        for name in ("", *(service.full_name for service in SERVICES)):
            response = await health.Check(HealthCheckRequest(service=name))
            assert response.status == HealthCheckResponse.SERVING, name
        status, _ = await refusal(health.Check(HealthCheckRequest(service="nobody")))
        assert status is Status.NOT_FOUND


async def test_hz_names_what_fails_and_tells_nothing_more(db: Database) -> None:
    async def well() -> None:
        return None

    async def away() -> None:
        raise Unavailable("postgres://user:secret@host")

    async def broken() -> None:
        raise RuntimeError("/etc/kannon")

    async def hangs() -> None:
        await anyio.sleep_forever()

    checks = {"postgres": away, "nats": well, "bug": broken}
    async with running_api(db, checks=checks) as api:
        result = (await HZServiceStub(api.channel).HZ(HZRequest())).result
    assert dict(result) == {"postgres": "unavailable", "bug": "unavailable"}
    async with running_api(db, checks={"nats": hangs}) as api:
        with patience():
            result = (await HZServiceStub(api.channel).HZ(HZRequest())).result
    assert dict(result) == {"nats": "does not answer"}


async def test_reflection_describes_every_service(db: Database) -> None:
    async with running_api(db) as api, ServerReflectionStub(api.channel).ServerReflectionInfo.open() as stream:
        await stream.send_message(ServerReflectionRequest(list_services=""))
        listed = await stream.recv_message()
        assert listed is not None
        names = [s.name for s in listed.list_services_response.service]
        assert sorted(names) == sorted(["grpc.health.v1.Health", *(service.full_name for service in SERVICES)])
        for name in names:
            await stream.send_message(ServerReflectionRequest(file_containing_symbol=name))
            found = await stream.recv_message()
            assert found is not None
            [raw] = found.file_descriptor_response.file_descriptor_proto
            described = FileDescriptorProto.FromString(raw)
            assert name in [f"{described.package}.{service.name}" for service in described.service]
        await stream.end()


async def test_a_flood_of_hz_calls_runs_the_checks_once_a_second() -> None:
    now = 0.0
    runs = 0
    away = False

    async def check() -> None:
        nonlocal runs
        runs += 1
        await anyio.lowlevel.checkpoint()
        if away:
            raise Unavailable("away")

    methods = HZMethods({"postgres": check}, lambda: now)
    for second, result in enumerate(({}, {"postgres": "unavailable"}, {}), 1):
        away = bool(result)
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(methods.HZ, None, HZRequest())
        assert runs == second
        away = not away  # which the cached answer does not see
        assert dict((await methods.HZ(None, HZRequest())).result) == result
        now += 1.0


async def test_a_hz_call_that_is_given_up_leaves_the_checks_to_the_next() -> None:
    entered = anyio.Event()
    blocked = True

    async def check() -> None:
        entered.set()
        if blocked:
            await anyio.sleep_forever()

    methods = HZMethods({"postgres": check})
    async with anyio.create_task_group() as group:
        group.start_soon(methods.HZ, None, HZRequest())
        await entered.wait()
        group.cancel_scope.cancel()
    blocked = False
    with patience():
        assert not (await methods.HZ(None, HZRequest())).result
