"""Is it well? HZ with the failing checks by name, and the standard gRPC health service; both open to anyone.

In: checks by name, injected by who knows the process (PostgreSQL, NATS, each component). Out: for HZ only what fails,
in words that give nothing away; for gRPC health SERVING or NOT_SERVING, overall and per service.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import structlog
from grpclib.const import Cardinality, Handler
from grpclib.health.check import ServiceCheck
from grpclib.health.service import OVERALL, Health
from grpclib.reflection.service import ServerReflection

from kannon.components.api.calls import guarded
from kannon.errors import KannonError
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest, HZResponse

CHECK_SECONDS = 2.0
"""A check that takes longer fails."""
_TTL_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]
"""Returns when all is well, raises otherwise."""

log = structlog.get_logger(__name__)


async def failing(checks: Mapping[str, Check]) -> dict[str, str]:
    """Runs them at once; name → what to tell the world."""
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
    """pkg.kannon.admin.apiv1.HZService."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    async def HZ(self, caller: None, request: HZRequest) -> HZResponse:
        return HZResponse(result=await failing(self._checks))


class _Named:
    """What grpclib's own services want to know a service by."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{self._name}/": Handler(_no_method, Cardinality.UNARY_UNARY, type(None), type(None))}


async def _no_method(stream: object) -> None:
    raise NotImplementedError


def standard_methods(service_names: Sequence[str], ready: Check) -> dict[str, Handler]:
    """gRPC health and server reflection (v1 and v1alpha). One answer holds for all services: can this process serve
    calls, that is, does `ready` return?"""

    async def well() -> bool:
        return not await failing({"ready": ready})

    check = ServiceCheck(well, check_ttl=_TTL_SECONDS, check_timeout=2 * CHECK_SECONDS)
    named = [_Named(name) for name in service_names]
    health = Health({OVERALL: [check], **{service: [check] for service in named}})
    reflection = ServerReflection.extend(named)[len(named) :]
    return {
        path: guarded(path, handler)
        for service in (health, *reflection)
        for path, handler in service.__mapping__().items()
    }
