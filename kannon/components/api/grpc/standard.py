"""The services of gRPC itself, by grpclib: the standard health service, and server reflection (v1 and v1alpha).

In: the names of our services, and a check. Out: grpclib's methods. Both are open to anyone. Health is SERVING or
NOT_SERVING, overall and per service; an answer holds for a second, so that a flood of calls is not a flood of queries.
"""

from collections.abc import Sequence

from grpclib.const import Cardinality, Handler
from grpclib.health.check import ServiceCheck
from grpclib.health.service import OVERALL, Health
from grpclib.reflection.service import ServerReflection

from kannon.components.api.grpc.method import with_statuses
from kannon.components.api.services.health import CHECK_SECONDS, TTL_SECONDS, Check, failing


class _Named:
    """A service as grpclib's own services take it: by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{self._name}/": Handler(_no_method, Cardinality.UNARY_UNARY, type(None), type(None))}


async def _no_method(stream: object) -> None:
    raise NotImplementedError


def standard_methods(service_names: Sequence[str], ready: Check) -> dict[str, Handler]:
    """One status holds for all services: SERVING when `ready`
    returns."""

    async def is_ready() -> bool:
        return not await failing({"ready": ready})

    check = ServiceCheck(is_ready, check_ttl=TTL_SECONDS, check_timeout=2 * CHECK_SECONDS)
    named = [_Named(name) for name in service_names]
    health = Health({OVERALL: [check], **{service: [check] for service in named}})
    reflection = ServerReflection.extend([*named, health])[len(named) + 1 :]
    return {
        path: with_statuses(path, handler)
        for service in (health, *reflection)
        for path, handler in service.__mapping__().items()
    }
