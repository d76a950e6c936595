"""pkg.kannon.admin.apiv1.Api: domains, templates and API keys, for the administrator.

In: requests. Out: results of kannon.db. An invalid name is InvalidArgument, an absent object NotFound. Each change is
logged with its caller.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread
import structlog

from kannon.accept.partials import expand_texts
from kannon.components.api.callers import Admin, Caller
from kannon.components.api.services.arguments import MAX_PAGE, domain_name, found, plain_text
from kannon.components.api.services.keys import create_key
from kannon.db import api_keys, domains, templates
from kannon.db.api_keys import SENDS
from kannon.db.pool import Database
from kannon.errors import AlreadyExists, InvalidArgument, LimitExceeded, NotFound
from kannon.mail import ids, tenants
from kannon.mail.batch import Engine
from kannon.mail.build.dkim import generate_dkim_key
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.build.jinja_syntax import TemplateFault
from kannon.mail.dns.dkim_keys import FIRST_SELECTOR
from kannon.mail.tenants import MAX_API_KEY_NAME, MAX_TEMPLATE_TITLE
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as pb
from kannon.wire.admin import to_api_key, to_domain, to_template
from kannon.wire.sends import to_engine
from kannon.wire.times import optional_time
from kannon.wire.tracking import to_ceiling

_DEFAULT_KEYS = 100

KeyVerb = Callable[[Database, str, str], Awaitable[tenants.ApiKey | None]]
log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class DomainMethods:
    """Domains and their tracking policies. `tenants_changed` follows each commit that changes what a tenant may do."""

    def __init__(self, db: Database, tenants_changed: Callable[[], None]) -> None:
        self._db = db
        self._tenants_changed = tenants_changed

    async def GetDomains(self, caller: Admin, request: pb.GetDomainsReq) -> pb.GetDomainsResponse:
        return pb.GetDomainsResponse(domains=[to_domain(d) for d in await domains.list_domains(self._db)])

    async def GetDomain(self, caller: Admin, request: pb.GetDomainReq) -> pb.GetDomainRes:
        return pb.GetDomainRes(domain=to_domain(await self._find(domain_name(request.domain))))

    async def CreateDomain(self, caller: Admin, request: pb.CreateDomainRequest) -> pb.Domain:
        name = domain_name(request.domain)
        private_pem, public_key = await anyio.to_thread.run_sync(generate_dkim_key)
        if not await domains.insert_domain(
            self._db, name, selector=FIRST_SELECTOR, private_pem=private_pem, public_key=public_key
        ):
            raise AlreadyExists(f'domain: "{name}" already exists')
        log.info("domain created", domain=name, by=caller.attribution)
        return to_domain(await self._find(name))

    async def SetTrackingPolicy(self, caller: Admin, request: pb.SetTrackingPolicyReq) -> pb.SetTrackingPolicyRes:
        name = domain_name(request.domain)
        tracking = to_ceiling(request.tracking)
        if not await domains.update_tracking(self._db, name, tracking):
            raise NotFound(f'domain: no domain "{name}"')
        self._tenants_changed()
        log.info("tracking policy set", domain=name, by=caller.attribution)
        return pb.SetTrackingPolicyRes(domain=to_domain(await self._find(name)))

    async def _find(self, name: str) -> tenants.Domain:
        return found(await domains.find_domain(self._db, name), f'domain: no domain "{name}"')


class TemplateMethods:
    """Templates; the id of a template names its domain."""

    def __init__(self, db: Database, max_html_bytes: int) -> None:
        self._db = db
        self._max_html_bytes = max_html_bytes

    async def CreateTemplate(self, caller: Caller, request: pb.CreateTemplateReq) -> pb.CreateTemplateRes:
        domain = domain_name(request.domain)
        engine = to_engine(request.engine)
        self._check(request.title, request.html)
        await self._check_engine(engine, request.html, domain)
        template = await templates.insert_template(
            self._db,
            ids.template_id(domain, secrets.token_bytes(ids.DRAW_BYTES)),
            domain,
            engine=engine,
            title=request.title,
            html=request.html,
        )
        template = found(template, f'domain: no domain "{domain}"')
        log.info("template created", template=template.template_id, by=caller.attribution)
        return pb.CreateTemplateRes(template=to_template(template))

    async def UpdateTemplate(self, caller: Caller, request: pb.UpdateTemplateReq) -> pb.UpdateTemplateRes:
        template_id = _template_id(request.template_id)
        self._check(request.title, request.html)
        stored = found(await templates.find_template(self._db, template_id), _no_template(template_id))
        await self._check_engine(stored.engine, request.html, stored.domain)
        template = await templates.update_template(self._db, template_id, title=request.title, html=request.html)
        template = found(template, _no_template(template_id))
        log.info("template updated", template=template_id, by=caller.attribution)
        return pb.UpdateTemplateRes(template=to_template(template))

    async def DeleteTemplate(self, caller: Caller, request: pb.DeleteTemplateReq) -> pb.DeleteTemplateRes:
        template_id = _template_id(request.template_id)
        template = found(await templates.delete_template(self._db, template_id), _no_template(template_id))
        log.info("template deleted", template=template_id, by=caller.attribution)
        return pb.DeleteTemplateRes(template=to_template(template))

    async def GetTemplate(self, caller: Caller, request: pb.GetTemplateReq) -> pb.GetTemplateRes:
        template_id = _template_id(request.template_id)
        template = found(await templates.find_template(self._db, template_id), _no_template(template_id))
        return pb.GetTemplateRes(template=to_template(template))

    async def GetTemplates(self, caller: Caller, request: pb.GetTemplatesReq) -> pb.GetTemplatesRes:
        domain = domain_name(request.domain)
        found(await domains.find_domain(self._db, domain), f'domain: no domain "{domain}"')
        page, total = await templates.list_templates(
            self._db, domain, skip=request.skip, take=min(request.take, MAX_PAGE)
        )
        return pb.GetTemplatesRes(templates=[to_template(t) for t in page], total=total)

    async def _check_engine(self, engine: Engine, html: str, domain: str) -> None:
        """Raises InvalidArgument for a template that its engine cannot read, with line and column."""
        if engine is not Engine.JINJA:
            return
        try:
            expanded = await expand_texts({"html": html}, partial(self._find_partials, domain))
            JinjaTemplate(html=expanded["html"], text="", subject="")
        except TemplateFault as fault:
            problem = f"{fault.problem} (line {fault.line}, column {fault.column})"
            raise InvalidArgument(fault.text_name, problem) from None

    async def _find_partials(self, domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
        async with self._db.acquire() as connection:
            return await templates.find_partials(connection, domain, titles)

    def _check(self, title: str, html: str) -> None:
        plain_text(title, "title", longest=MAX_TEMPLATE_TITLE)
        if "\x00" in html:
            raise InvalidArgument("html", "must not contain a NUL")
        size = len(html.encode())
        if size > self._max_html_bytes:
            raise LimitExceeded(f"html: has {size} bytes; the limit is {self._max_html_bytes}")


class ApiKeyMethods:
    """API keys. Only CreateAPIKey answers with the secret. `tenants_changed` follows each commit that ends a key."""

    def __init__(self, db: Database, tenants_changed: Callable[[], None]) -> None:
        self._db = db
        self._tenants_changed = tenants_changed

    async def CreateAPIKey(self, caller: Admin, request: pb.CreateAPIKeyRequest) -> pb.CreateAPIKeyResponse:
        domain = domain_name(request.domain)
        if not request.name.strip():
            raise InvalidArgument("name", "must not be empty")
        plain_text(request.name, "name", longest=MAX_API_KEY_NAME)
        expires_at = optional_time(request, "expires_at")
        if expires_at is not None and expires_at <= _now():
            raise InvalidArgument("expires_at", "is in the past")
        key, secret = await create_key(self._db, domain, request.name, expires_at, SENDS)
        log.info("API key created", domain=domain, key=key.id, by=caller.attribution)
        return pb.CreateAPIKeyResponse(api_key=to_api_key(key, _now()), key=secret)

    async def ListAPIKeys(self, caller: Admin, request: pb.ListAPIKeysRequest) -> pb.ListAPIKeysResponse:
        domain = domain_name(request.domain)
        if request.offset < 0:
            raise InvalidArgument("offset", "must not be negative")
        found(await domains.find_domain(self._db, domain), f'domain: no domain "{domain}"')
        take = min(request.limit, MAX_PAGE) if request.limit > 0 else _DEFAULT_KEYS
        page, total = await api_keys.list_api_keys(
            self._db, domain, only_active=request.only_active, skip=request.offset, take=take
        )
        now = _now()
        return pb.ListAPIKeysResponse(api_keys=[to_api_key(k, now) for k in page], total=total)

    async def GetAPIKey(self, caller: Admin, request: pb.GetAPIKeyRequest) -> pb.GetAPIKeyResponse:
        key = await self._use(request.domain, request.id, api_keys.find_api_key)
        return pb.GetAPIKeyResponse(api_key=to_api_key(key, _now()))

    async def DeactivateAPIKey(self, caller: Admin, request: pb.DeactivateAPIKeyRequest) -> pb.DeactivateAPIKeyResponse:
        key = await self._use(request.domain, request.id, api_keys.deactivate_api_key)
        self._tenants_changed()
        log.info("API key deactivated", domain=key.domain, key=key.id, by=caller.attribution)
        return pb.DeactivateAPIKeyResponse(api_key=to_api_key(key, _now()))

    async def _use(self, domain: str, key_id: str, verb: KeyVerb) -> tenants.ApiKey:
        name = domain_name(domain)
        if not key_id:
            raise InvalidArgument("id", "must not be empty")
        missing = f'id: no API key "{key_id[:100]}" of domain "{name}"'
        return found(await verb(self._db, name, key_id) if ids.is_api_key_id(key_id) else None, missing)


class AdminMethods(DomainMethods, TemplateMethods, ApiKeyMethods):
    """The whole service."""

    def __init__(self, db: Database, max_html_bytes: int, tenants_changed: Callable[[], None]) -> None:
        TemplateMethods.__init__(self, db, max_html_bytes)
        self._tenants_changed = tenants_changed


def _template_id(text: str) -> str:
    if not text:
        raise InvalidArgument("template_id", "must not be empty")
    if not ids.is_template_id(text):
        raise NotFound(_no_template(text))
    return text


def _no_template(template_id: str) -> str:
    return f'template_id: no template "{template_id[:300]}"'
