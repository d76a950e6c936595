"""Domains and what belongs to them, for the administrator: DKIM keys, API keys, templates."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from kannon.client.calls import Calls, timestamp
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.v1 import dkim_pb2 as dkim
from kannon.pb.admin.v1 import keys_pb2 as keys
from kannon.pb.admin.v1 import reputation_pb2 as reputation
from kannon.pb.admin.v1 import templates_pb2 as templates
from kannon.pb.admin.v1.dkim_grpc import DkimStub
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.admin.v1.reputation_grpc import ReputationStub
from kannon.pb.admin.v1.templates_grpc import TemplatesStub
from kannon.pb.tracking.types.tracking_pb2 import TrackingMode, TrackingPolicy


class TenantCalls(Calls):
    @cached_property
    def _api(self) -> ApiStub:
        return ApiStub(self._channel)

    @cached_property
    def _dkim(self) -> DkimStub:
        return DkimStub(self._channel)

    @cached_property
    def _keys(self) -> KeysStub:
        return KeysStub(self._channel)

    @cached_property
    def _reputation(self) -> ReputationStub:
        return ReputationStub(self._channel)

    @cached_property
    def _templates(self) -> TemplatesStub:
        return TemplatesStub(self._channel)

    # Domains

    async def list_domains(self) -> list[admin.Domain]:
        return list((await self._rpc(self._api.GetDomains, admin.GetDomainsReq())).domains)

    async def find_domain(self, domain: str) -> admin.Domain:
        return (await self._rpc(self._api.GetDomain, admin.GetDomainReq(domain=domain))).domain

    async def create_domain(self, domain: str) -> admin.Domain:
        return await self._rpc(self._api.CreateDomain, admin.CreateDomainRequest(domain=domain))

    async def set_tracking(self, domain: str, *, opens: TrackingMode, links: TrackingMode) -> admin.Domain:
        """The most that the domain's batches may track. Batches that are already accepted do not change."""
        tracking = TrackingPolicy(opens=opens, links=links)
        request = admin.SetTrackingPolicyReq(domain=domain, tracking=tracking)
        return (await self._rpc(self._api.SetTrackingPolicy, request)).domain

    # DKIM keys

    async def list_dkim_keys(self, domain: str) -> list[dkim.DkimKey]:
        """All keys, also deleted ones, the oldest first."""
        return list((await self._rpc(self._dkim.ListDkimKeys, dkim.ListDkimKeysRequest(domain=domain))).keys)

    async def create_dkim_key(self, domain: str, *, algorithm: str = "") -> dkim.DkimKey:
        """Creates the next key, which is not active yet. `algorithm` empty: rsa-sha256."""
        request = dkim.CreateDkimKeyRequest(domain=domain, algorithm=algorithm)
        return (await self._rpc(self._dkim.CreateDkimKey, request)).key

    async def activate_dkim_key(self, domain: str, selector: str, *, force: bool = False) -> dkim.DkimKey:
        """Refused until the DNS has its record, unless `force`."""
        request = dkim.ActivateDkimKeyRequest(domain=domain, selector=selector, force=force)
        return (await self._rpc(self._dkim.ActivateDkimKey, request)).key

    async def retire_dkim_key(self, domain: str, selector: str) -> dkim.DkimKey:
        """Stops signing with an Ed25519 key, whose signature is the second one."""
        request = dkim.RetireDkimKeyRequest(domain=domain, selector=selector)
        return (await self._rpc(self._dkim.RetireDkimKey, request)).key

    async def delete_dkim_key(self, domain: str, selector: str, *, force: bool = False) -> dkim.DkimKey:
        """Refused while mail that it signed may be in flight, unless `force`."""
        request = dkim.DeleteDkimKeyRequest(domain=domain, selector=selector, force=force)
        return (await self._rpc(self._dkim.DeleteDkimKey, request)).key

    # API keys

    async def create_api_key(
        self, domain: str, name: str, *, expires_at: datetime | None = None
    ) -> tuple[admin.APIKey, str]:
        """Returns the key and its secret, which the server does not return again."""
        request = admin.CreateAPIKeyRequest(domain=domain, name=name, expires_at=timestamp(expires_at))
        response = await self._rpc(self._api.CreateAPIKey, request)
        return response.api_key, response.key

    async def list_api_keys(
        self, domain: str, *, only_active: bool = False, limit: int = 100, offset: int = 0
    ) -> tuple[list[admin.APIKey], int]:
        request = admin.ListAPIKeysRequest(domain=domain, only_active=only_active, limit=limit, offset=offset)
        response = await self._rpc(self._api.ListAPIKeys, request)
        return list(response.api_keys), response.total

    async def create_key(
        self,
        domain: str,
        name: str,
        *,
        expires_at: datetime | None = None,
        scopes: Sequence[str] = (),
        networks: Sequence[str] = (),
        quota: keys.Quota | None = None,
    ) -> tuple[keys.Key, str]:
        """Returns the key and its secret, which the server does not return again. Without scopes it only sends."""
        request = keys.CreateKeyRequest(
            domain=domain,
            name=name,
            expires_at=timestamp(expires_at),
            scopes=scopes,
            networks=networks,
            quota=quota,
        )
        response = await self._rpc(self._keys.CreateKey, request)
        return response.key, response.secret

    async def update_key(
        self,
        domain: str,
        key_id: str,
        *,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        networks: Sequence[str] | None = None,
        quota: keys.Quota | None = None,
    ) -> keys.Key:
        """None: stays as it is."""
        request = keys.UpdateKeyRequest(
            domain=domain,
            id=key_id,
            name=name,
            scopes=None if scopes is None else keys.Scopes(scopes=scopes),
            networks=None if networks is None else keys.Networks(networks=networks),
            quota=quota,
        )
        return (await self._rpc(self._keys.UpdateKey, request)).key

    async def find_key(self, domain: str, key_id: str) -> keys.Key:
        return (await self._rpc(self._keys.GetKey, keys.GetKeyRequest(domain=domain, id=key_id))).key

    async def list_keys(
        self, domain: str, *, only_active: bool = False, skip: int = 0, take: int = 100
    ) -> tuple[list[keys.Key], int]:
        request = keys.ListKeysRequest(domain=domain, only_active=only_active, skip=skip, take=take)
        response = await self._rpc(self._keys.ListKeys, request)
        return list(response.keys), response.total

    async def find_domain_quota(self, domain: str) -> keys.Quota:
        return (await self._rpc(self._keys.GetDomainQuota, keys.GetDomainQuotaRequest(domain=domain))).quota

    async def set_domain_quota(self, domain: str, *, per_second: int, per_day: int) -> keys.Quota:
        """0: no limit."""
        quota = keys.Quota(per_second=per_second, per_day=per_day)
        request = keys.SetDomainQuotaRequest(domain=domain, quota=quota)
        return (await self._rpc(self._keys.SetDomainQuota, request)).quota

    async def find_guard(self, domain: str) -> reputation.GetGuardResponse:
        """When the guard pauses batches of the domain."""
        return await self._rpc(self._reputation.GetGuard, reputation.GetGuardRequest(domain=domain))

    async def set_guard(self, domain: str, overrides: reputation.GuardOverrides) -> reputation.SetGuardResponse:
        """What is not set is as configured."""
        request = reputation.SetGuardRequest(domain=domain, overrides=overrides)
        return await self._rpc(self._reputation.SetGuard, request)

    async def find_reports(
        self, domain: str, *, from_time: datetime | None = None, to_time: datetime | None = None, take: int = 100
    ) -> reputation.GetReportsResponse:
        """What DMARC and TLS reports say about the domain, by day (UTC)."""
        request = reputation.GetReportsRequest(
            domain=domain, from_date=timestamp(from_time), to_date=timestamp(to_time), take=take
        )
        return await self._rpc(self._reputation.GetReports, request)

    async def find_api_key(self, domain: str, key_id: str) -> admin.APIKey:
        return (await self._rpc(self._api.GetAPIKey, admin.GetAPIKeyRequest(domain=domain, id=key_id))).api_key

    async def deactivate_api_key(self, domain: str, key_id: str) -> admin.APIKey:
        request = admin.DeactivateAPIKeyRequest(domain=domain, id=key_id)
        return (await self._rpc(self._api.DeactivateAPIKey, request)).api_key

    # Templates

    async def create_template(self, domain: str, *, html: str, title: str = "", engine: str = "") -> admin.Template:
        """`engine`: `plain` (also if empty) or `jinja`."""
        request = admin.CreateTemplateReq(domain=domain, html=html, title=title, engine=engine)
        return (await self._rpc(self._api.CreateTemplate, request)).template

    async def update_template(self, template_id: str, *, html: str, title: str) -> admin.Template:
        request = admin.UpdateTemplateReq(template_id=template_id, html=html, title=title)
        return (await self._rpc(self._api.UpdateTemplate, request)).template

    async def find_template(self, template_id: str) -> admin.Template:
        return (await self._rpc(self._api.GetTemplate, admin.GetTemplateReq(template_id=template_id))).template

    async def delete_template(self, template_id: str) -> admin.Template:
        return (await self._rpc(self._api.DeleteTemplate, admin.DeleteTemplateReq(template_id=template_id))).template

    async def list_templates(self, domain: str, *, skip: int = 0, take: int = 100) -> tuple[list[admin.Template], int]:
        request = admin.GetTemplatesReq(domain=domain, skip=skip, take=take)
        response = await self._rpc(self._api.GetTemplates, request)
        return list(response.templates), response.total

    async def list_template_versions(self, template_id: str) -> list[templates.TemplateVersion]:
        """Newest first, without their HTML."""
        request = templates.ListVersionsRequest(template_id=template_id)
        return list((await self._rpc(self._templates.ListVersions, request)).versions)

    async def find_template_version(self, template_id: str, version: int) -> templates.TemplateVersion:
        request = templates.GetVersionRequest(template_id=template_id, version=version)
        return (await self._rpc(self._templates.GetVersion, request)).version

    async def restore_template(self, template_id: str, version: int) -> templates.RestoreVersionResponse:
        """Saves a former version again, as the next one."""
        request = templates.RestoreVersionRequest(template_id=template_id, version=version)
        return await self._rpc(self._templates.RestoreVersion, request)

    async def preview_template(self, sample: templates.TemplateSample) -> templates.PreviewTemplateResponse:
        """What a recipient would get; sends nothing."""
        return await self._rpc(self._templates.PreviewTemplate, templates.PreviewTemplateRequest(sample=sample))

    async def lint_template(self, sample: templates.TemplateSample, *, bulk: bool = False) -> list[templates.Finding]:
        """`bulk`: also demand a link to unsubscribe."""
        request = templates.LintTemplateRequest(sample=sample, bulk=bulk)
        return list((await self._rpc(self._templates.LintTemplate, request)).findings)
