"""Health: HZ with the failing checks by name, and the standard gRPC health service; both open to anyone.

In: checks by name (PostgreSQL, NATS, each component), passed in. Out: for HZ the checks that fail, without their
reasons; for gRPC health SERVING or NOT_SERVING, overall and per service. An answer holds for a second, so that a flood
of calls is not a flood of queries.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import structlog
from grpclib.const import Cardinality, Handler
from grpclib.health.check import ServiceCheck
from grpclib.health.service import OVERALL, Health
from grpclib.reflection.service import ServerReflection

from kannon.components.api.calls import with_statuses
from kannon.errors import KannonError
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest, HZResponse

CHECK_SECONDS = 2.0
"""A check that takes longer fails."""
_TTL_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]
"""Raises when the check fails."""

log = structlog.get_logger(__name__)


async def failing(checks: Mapping[str, Check]) -> dict[str, str]:
    """Runs all checks concurrently; the names of those that fail, with a text that shows no reason."""
    result: dict[str, str] = {}

    async def run(name: str, check: Check) -> None:
        try:
            with anyio.fail_after(CHECK_SECONDS):
                await check()
        except TimeoutError:
            result[name] = "does not answer"
        except Exception as error:
            log.warning("check failed", check=name, reason=str(error), exc_info=not isinstance(error, KannonError))
            result[name] = "unavailable"

    async with anyio.create_task_group() as group:
        for name, check in checks.items():
            group.start_soon(run, name, check)
    return dict(sorted(result.items()))


class HZMethods:
    """pkg.kannon.admin.apiv1.HZService. One call at a time runs the checks; the others wait for its answer."""

    def __init__(self, checks: Mapping[str, Check], clock: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._clock = clock
        self._lock = anyio.Lock()
        self._failing: dict[str, str] = {}
        self._expires = float("-inf")

    async def HZ(self, caller: None, request: HZRequest) -> HZResponse:
        async with self._lock:
            if self._clock() >= self._expires:
                self._failing = await failing(self._checks)
                self._expires = self._clock() + _TTL_SECONDS
        return HZResponse(result=self._failing)


class _Named:
    """A service as grpclib's own services take it: by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{self._name}/": Handler(_no_method, Cardinality.UNARY_UNARY, type(None), type(None))}


async def _no_method(stream: object) -> None:
    raise NotImplementedError


def standard_methods(service_names: Sequence[str], ready: Check) -> dict[str, Handler]:
    """gRPC health and server reflection (v1 and v1alpha). One status holds for all services: SERVING when `ready`
    returns."""

    async def is_ready() -> bool:
        return not await failing({"ready": ready})

    check = ServiceCheck(is_ready, check_ttl=_TTL_SECONDS, check_timeout=2 * CHECK_SECONDS)
    named = [_Named(name) for name in service_names]
    health = Health({OVERALL: [check], **{service: [check] for service in named}})
    reflection = ServerReflection.extend([*named, health])[len(named) + 1 :]
    return {
        path: with_statuses(path, handler)
        for service in (health, *reflection)
        for path, handler in service.__mapping__().items()
    }
