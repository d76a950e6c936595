"""Which methods an API key may call beside the Mailer's, by its scope, and how a call stays within the key's domain.

In: a method as the administrator has it. Out: the same method, for the administrator and for keys. A method that
KEY_METHODS does not have needs the admin token. What belongs to another domain is answered as what does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from kannon.components.api.authenticator import AdminAuthenticator, KeyAuthenticator, ScopeAuthenticator
from kannon.components.api.callers import Caller
from kannon.components.api.rpc import Rpc
from kannon.components.api.services.arguments import domain_name
from kannon.errors import NotFound
from kannon.mail.tenants import Scope

Restrict = Callable[[Any, str], None]
"""Takes a request and the key's domain; changes the request, or raises NotFound."""


def own_domain(request: Any, domain: str) -> None:
    """A request with a field `domain`: empty means the key's own."""
    if request.domain and domain_name(request.domain) != domain:
        raise NotFound(f'domain: no domain "{domain_name(request.domain)}"')
    request.domain = domain


def own_template(request: Any, domain: str) -> None:
    """The id of a template ends with its domain."""
    _check_id("template_id", "template", request.template_id[:300], domain)


def own_sample(request: Any, domain: str) -> None:
    """Of a stored template, or of HTML for the key's domain."""
    own_domain(request.sample, domain)
    _check_id("sample.template_id", "template", request.sample.template_id[:300], domain)


def own_batch(request: Any, domain: str) -> None:
    """The id of a batch ends with its domain."""
    _check_id("message_id", "batch", request.message_id, domain)


def by_method(request: Message, domain: str) -> None:
    """The method itself compares the caller's domain with what it finds."""


def _check_id(field: str, kind: str, text: str, domain: str) -> None:
    if text and text.rpartition("@")[2] != domain:
        raise NotFound(f'{field}: no {kind} "{text}"')


@dataclass(frozen=True, slots=True)
class KeyAccess:
    scope: Scope
    restrict: Restrict


KEY_METHODS: Mapping[str, KeyAccess] = {
    "/kannon.StatsApiV1/GetStats": KeyAccess(Scope.READ, own_domain),
    "/kannon.StatsApiV1/GetStatsAggregated": KeyAccess(Scope.READ, own_domain),
    "/kannon.stats.apiv2.StatsApiV2/GetAggregatedStats": KeyAccess(Scope.READ, own_domain),
    "/kannon.stats.v1.Events/List": KeyAccess(Scope.READ, own_domain),
    "/kannon.stats.v1.Events/Watch": KeyAccess(Scope.READ, own_domain),
    "/kannon.admin.v1.Operations/ListBatches": KeyAccess(Scope.READ, own_domain),
    "/kannon.admin.v1.Operations/GetBatch": KeyAccess(Scope.READ, own_batch),
    "/kannon.admin.v1.Operations/ListDeliveries": KeyAccess(Scope.READ, own_domain),
    "/kannon.admin.v1.Operations/GetTimeline": KeyAccess(Scope.READ, by_method),
    "/kannon.admin.v1.Suppressions/ListSuppressions": KeyAccess(Scope.SUPPRESSIONS, own_domain),
    "/kannon.admin.v1.Suppressions/GetSuppression": KeyAccess(Scope.SUPPRESSIONS, own_domain),
    "/kannon.admin.v1.Suppressions/AddSuppressions": KeyAccess(Scope.SUPPRESSIONS, own_domain),
    "/kannon.admin.v1.Suppressions/RemoveSuppressions": KeyAccess(Scope.SUPPRESSIONS, own_domain),
    "/kannon.admin.v1.Suppressions/GetSuppressionPolicy": KeyAccess(Scope.SUPPRESSIONS, own_domain),
    "/kannon.admin.v1.Webhooks/CreateEndpoint": KeyAccess(Scope.WEBHOOKS, own_domain),
    "/kannon.admin.v1.Webhooks/ListEndpoints": KeyAccess(Scope.WEBHOOKS, own_domain),
    "/kannon.admin.v1.Webhooks/GetEndpoint": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/ListAttempts": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/RotateSecret": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/TestEndpoint": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/ReplayEvents": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/SetEndpointEnabled": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Webhooks/DeleteEndpoint": KeyAccess(Scope.WEBHOOKS, by_method),
    "/kannon.admin.v1.Templates/ListVersions": KeyAccess(Scope.TEMPLATES, own_template),
    "/kannon.admin.v1.Templates/GetVersion": KeyAccess(Scope.TEMPLATES, own_template),
    "/kannon.admin.v1.Templates/RestoreVersion": KeyAccess(Scope.TEMPLATES, own_template),
    "/kannon.admin.v1.Templates/PreviewTemplate": KeyAccess(Scope.TEMPLATES, own_sample),
    "/kannon.admin.v1.Templates/LintTemplate": KeyAccess(Scope.TEMPLATES, own_sample),
    "/pkg.kannon.admin.apiv1.Api/CreateTemplate": KeyAccess(Scope.TEMPLATES, own_domain),
    "/pkg.kannon.admin.apiv1.Api/UpdateTemplate": KeyAccess(Scope.TEMPLATES, own_template),
    "/pkg.kannon.admin.apiv1.Api/DeleteTemplate": KeyAccess(Scope.TEMPLATES, own_template),
    "/pkg.kannon.admin.apiv1.Api/GetTemplate": KeyAccess(Scope.TEMPLATES, own_template),
    "/pkg.kannon.admin.apiv1.Api/GetTemplates": KeyAccess(Scope.TEMPLATES, own_domain),
}


def open_to_keys(rpc: Rpc[Any], keys: KeyAuthenticator, admin: AdminAuthenticator) -> Rpc[Any]:
    """The method with the access of KEY_METHODS; one that is not there as it is."""
    access = KEY_METHODS.get(rpc.path)
    if access is None:
        return rpc
    method, restrict = rpc.method, access.restrict

    def call(caller: Caller, request: Any) -> Any:
        if caller.domain:
            restrict(request, caller.domain)
        return method(caller, request)

    return replace(rpc, authenticate=ScopeAuthenticator(access.scope, keys, admin).authenticate, method=call)
