"""/domains: all, and a new one. /domains/D: its DNS records, keys, quotas, webhooks, tracking and suppression."""

from datetime import UTC, datetime, timedelta

from grpclib.const import Status
from starlette.responses import Response

from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.place import Place
from kannon.components.api.pages.view import segment
from kannon.components.api.rpc import Refusal
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.v1 import dkim_pb2, keys_pb2, records_pb2, suppressions_pb2, webhooks_pb2
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.tracking.types import tracking_pb2
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode, TrackingPolicy

MODES = ("off", "anonymous", "pseudonymous", "identified", "full")
SCOPES = ("send", "read", "suppressions", "templates", "webhooks")
_MOST = 100
_ATTEMPTS = 10


async def list_(place: Place) -> Response:
    found = await place.call("Api.GetDomains", admin.GetDomainsReq())
    return place.show("domains.html", domains=found.domains, mode=mode_name)


async def create(place: Place, form: Form) -> Response:
    made = await place.call("Api.CreateDomain", admin.CreateDomainRequest(domain=form.text("domain")))
    return place.go(f"/domains/{segment(made.domain)}", done="created")


async def show(place: Place, *, secret: str = "", secret_of: str = "") -> Response:
    """`secret`, which is shown once, was just made."""
    domain = place.part("domain")
    found = await place.call("Api.GetDomain", admin.GetDomainReq(domain=domain))
    name = found.domain.domain
    checked = place.query("check") == "1"
    records = (
        (await place.call("Records.CheckRecords", records_pb2.CheckRecordsRequest(domain=name))) if checked else None
    )
    dkim = await place.call("Dkim.ListDkimKeys", dkim_pb2.ListDkimKeysRequest(domain=name))
    keys = await place.call("Keys.ListKeys", keys_pb2.ListKeysRequest(domain=name, take=_MOST))
    quota = await place.call("Keys.GetDomainQuota", keys_pb2.GetDomainQuotaRequest(domain=name))
    policy = suppressions_pb2.GetSuppressionPolicyRequest(domain=name)
    suppression = await place.call("Suppressions.GetSuppressionPolicy", policy)
    endpoints = await place.call("Webhooks.ListEndpoints", webhooks_pb2.ListEndpointsRequest(domain=name))
    pauses = await place.call("Operations.ListPauses", operations.ListPausesRequest())
    return place.show(
        "domain.html",
        domain=found.domain,
        checked=checked,
        records=records,
        dkim=dkim.keys,
        keys=keys.keys,
        keys_total=keys.total,
        quota=quota.quota,
        suppression=suppression.enabled,
        endpoints=endpoints.endpoints,
        paused=any(each.domain == name for each in pauses.pauses),
        modes=MODES,
        mode=mode_name,
        scopes=SCOPES,
        secret=secret,
        secret_of=secret_of,
    )


def mode_name(mode: TrackingMode) -> str:
    return TrackingMode.Name(mode).removeprefix("TRACKING_MODE_").lower()


def _mode(form: Form, name: str) -> TrackingMode:
    text = form.text(name)
    if text not in MODES:
        raise Refusal(Status.INVALID_ARGUMENT, f'{name}: "{text[:40]}" is none of {", ".join(MODES)}')
    number: TrackingMode = getattr(tracking_pb2, f"TRACKING_MODE_{text.upper()}")
    return number


def _back(place: Place, done: str) -> Response:
    return place.go(f"/domains/{segment(place.part('domain'))}", done=done)


async def set_tracking(place: Place, form: Form) -> Response:
    policy = TrackingPolicy(opens=_mode(form, "opens"), links=_mode(form, "links"))
    request = admin.SetTrackingPolicyReq(domain=place.part("domain"), tracking=policy)
    await place.call("Api.SetTrackingPolicy", request)
    return _back(place, "saved")


async def set_suppression(place: Place, form: Form) -> Response:
    enabled = form.text("enabled") == "1"
    request = suppressions_pb2.SetSuppressionPolicyRequest(domain=place.part("domain"), enabled=enabled)
    await place.call("Suppressions.SetSuppressionPolicy", request)
    return _back(place, "saved")


async def set_quota(place: Place, form: Form) -> Response:
    quota = keys_pb2.Quota(per_second=_int32(form, "per_second"), per_day=form.number("per_day"))
    await place.call("Keys.SetDomainQuota", keys_pb2.SetDomainQuotaRequest(domain=place.part("domain"), quota=quota))
    return _back(place, "saved")


def _int32(form: Form, name: str) -> int:
    """Too large a number is refused by its service."""
    return min(form.number(name), 2**31 - 1)


async def pause(place: Place, form: Form) -> Response:
    await place.call("Operations.Pause", operations.PauseRequest(domain=place.part("domain")))
    return _back(place, "paused")


async def resume(place: Place, form: Form) -> Response:
    await place.call("Operations.Resume", operations.ResumeRequest(domain=place.part("domain")))
    return _back(place, "resumed")


async def create_key(place: Place, form: Form) -> Response:
    request = keys_pb2.CreateKeyRequest(
        domain=place.part("domain"), name=form.text("name"), scopes=form.all("scope") or ["send"]
    )
    if days := form.number("days"):
        request.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=min(days, 36_500)))
    made = await place.call("Keys.CreateKey", request)
    return await show(place, secret=made.secret, secret_of=f"API key {made.key.name}")


async def revoke_key(place: Place, form: Form) -> Response:
    request = admin.DeactivateAPIKeyRequest(domain=place.part("domain"), id=form.text("id"))
    await place.call("Api.DeactivateAPIKey", request)
    return _back(place, "saved")


async def create_dkim(place: Place, form: Form) -> Response:
    request = dkim_pb2.CreateDkimKeyRequest(domain=place.part("domain"), algorithm=form.text("algorithm"))
    await place.call("Dkim.CreateDkimKey", request)
    return _back(place, "created")


async def activate_dkim(place: Place, form: Form) -> Response:
    request = dkim_pb2.ActivateDkimKeyRequest(domain=place.part("domain"), selector=form.text("selector"))
    await place.call("Dkim.ActivateDkimKey", request)
    return _back(place, "saved")


async def retire_dkim(place: Place, form: Form) -> Response:
    request = dkim_pb2.RetireDkimKeyRequest(domain=place.part("domain"), selector=form.text("selector"))
    await place.call("Dkim.RetireDkimKey", request)
    return _back(place, "saved")


async def create_endpoint(place: Place, form: Form) -> Response:
    types = [each.strip() for each in form.text("types").split(",") if each.strip()]
    request = webhooks_pb2.CreateEndpointRequest(domain=place.part("domain"), url=form.text("url"), types=types)
    made = await place.call("Webhooks.CreateEndpoint", request)
    return await show(place, secret=made.secret, secret_of=f"webhook {made.endpoint.url}")


async def show_endpoint(place: Place) -> Response:
    endpoint_id = place.part("endpoint")
    found = await place.call("Webhooks.GetEndpoint", webhooks_pb2.GetEndpointRequest(id=endpoint_id))
    request = webhooks_pb2.ListAttemptsRequest(id=endpoint_id, take=_ATTEMPTS)
    attempts = await place.call("Webhooks.ListAttempts", request)
    return place.show(
        "webhook.html",
        endpoint=found.endpoint,
        waiting=found.waiting,
        attempts=attempts.attempts,
        domain=place.part("domain"),
    )


async def change_endpoint(place: Place, form: Form) -> Response:
    """Test, switch or delete it."""
    endpoint_id, domain = place.part("endpoint"), segment(place.part("domain"))
    match form.text("do"):
        case "test":
            await place.call("Webhooks.TestEndpoint", webhooks_pb2.TestEndpointRequest(id=endpoint_id))
            return place.go(f"/domains/{domain}/webhooks/{segment(endpoint_id)}", done="tested")
        case "delete":
            await place.call("Webhooks.DeleteEndpoint", webhooks_pb2.DeleteEndpointRequest(id=endpoint_id))
            return place.go(f"/domains/{domain}", done="deleted")
        case change:
            request = webhooks_pb2.SetEndpointEnabledRequest(id=endpoint_id, enabled=change == "enable")
            await place.call("Webhooks.SetEndpointEnabled", request)
            return place.go(f"/domains/{domain}/webhooks/{segment(endpoint_id)}", done="saved")


PAGES = {"/domains": list_, "/domains/{domain}": show, "/domains/{domain}/webhooks/{endpoint}": show_endpoint}
ACTIONS = {
    "/domains": create,
    "/domains/{domain}/tracking": set_tracking,
    "/domains/{domain}/suppression": set_suppression,
    "/domains/{domain}/quota": set_quota,
    "/domains/{domain}/pause": pause,
    "/domains/{domain}/resume": resume,
    "/domains/{domain}/keys": create_key,
    "/domains/{domain}/keys/revoke": revoke_key,
    "/domains/{domain}/dkim": create_dkim,
    "/domains/{domain}/dkim/activate": activate_dkim,
    "/domains/{domain}/dkim/retire": retire_dkim,
    "/domains/{domain}/webhooks": create_endpoint,
    "/domains/{domain}/webhooks/{endpoint}": change_endpoint,
}
