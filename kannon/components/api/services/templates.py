"""kannon.admin.v1.Templates: versions of a template, its preview, and what is wrong with it.

In: requests of the administrator, or of a key for templates. Out: results of kannon.db, kannon.mail.preview and
kannon.mail.lint. Rendering runs in a thread, one at a time, since a caller may send megabytes of HTML.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.to_thread
import structlog

from kannon.accept.partials import expand_texts
from kannon.components.api.callers import Caller
from kannon.components.api.services.arguments import domain_name, found, plain_text
from kannon.db import templates
from kannon.db.pool import Database
from kannon.errors import InvalidArgument, LimitExceeded
from kannon.mail.batch import Content, Engine
from kannon.mail.build.jinja_syntax import TemplateFault
from kannon.mail.ids import is_template_id
from kannon.mail.lint import lint
from kannon.mail.preview import Preview, render_preview
from kannon.mail.tenants import Template, TemplateVersion
from kannon.pb.admin.v1 import templates_pb2 as pb
from kannon.wire.events import timestamp
from kannon.wire.sends import to_engine, to_values

_MAX_SUBJECT = 2000
log = structlog.get_logger(__name__)


class TemplatesMethods:
    """`max_bytes`: of HTML and text of a sample."""

    def __init__(self, db: Database, max_bytes: int) -> None:
        self._db = db
        self._max_bytes = max_bytes
        self._rendering = anyio.CapacityLimiter(1)

    async def ListVersions(self, caller: Caller, request: pb.ListVersionsRequest) -> pb.ListVersionsResponse:
        template = await self._find(request.template_id)
        versions = await templates.list_template_versions(self._db, template.template_id)
        return pb.ListVersionsResponse(versions=[_to_version(each) for each in versions])

    async def GetVersion(self, caller: Caller, request: pb.GetVersionRequest) -> pb.GetVersionResponse:
        template = await self._find(request.template_id)
        return pb.GetVersionResponse(version=_to_version(await self._find_version(template, request.version)))

    async def RestoreVersion(self, caller: Caller, request: pb.RestoreVersionRequest) -> pb.RestoreVersionResponse:
        template = await self._find(request.template_id)
        former = await self._find_version(template, request.version)
        saved = await templates.update_template(self._db, template.template_id, title=former.title, html=former.html)
        saved = found(saved, _no_template(request.template_id))
        log.info("template restored", template=saved.template_id, version=former.version, by=caller.attribution)
        return pb.RestoreVersionResponse(version=saved.version)

    async def PreviewTemplate(self, caller: Caller, request: pb.PreviewTemplateRequest) -> pb.PreviewTemplateResponse:
        preview = await self._preview(request.sample)
        return pb.PreviewTemplateResponse(
            html=preview.html,
            text=preview.text,
            subject=preview.subject,
            bytes=preview.bytes,
            links=preview.links,
            missing_fields=preview.missing,
            problem=preview.problem,
        )

    async def LintTemplate(self, caller: Caller, request: pb.LintTemplateRequest) -> pb.LintTemplateResponse:
        preview = await self._preview(request.sample)
        if preview.problem:
            raise InvalidArgument("sample", f"the template cannot be rendered: {preview.problem}")
        findings = lint(preview, bulk=request.bulk)
        return pb.LintTemplateResponse(findings=[pb.Finding(code=f.code, message=f.message) for f in findings])

    async def _preview(self, sample: pb.TemplateSample) -> Preview:
        content, domain = await self._content(sample)
        values = to_values(sample, sample.fields)
        if content.engine is Engine.PLAIN and sample.HasField("data"):
            raise InvalidArgument("sample.data", "needs a template of engine jinja")
        render = partial(render_preview, content, domain, values, datetime.now(UTC))
        try:
            return await anyio.to_thread.run_sync(render, limiter=self._rendering)
        except TemplateFault as fault:
            problem = f"{fault.problem} (line {fault.line}, column {fault.column})"
            raise InvalidArgument(f"sample.{fault.text_name}", problem) from None
        except ValueError as error:
            raise InvalidArgument("sample", f"makes no mail: {error}") from None

    async def _content(self, sample: pb.TemplateSample) -> tuple[Content, str]:
        plain_text(sample.subject, "sample.subject", longest=_MAX_SUBJECT)
        if sample.template_id:
            template = await self._find(sample.template_id, "sample.template_id")
            if sample.html or sample.engine:
                raise InvalidArgument("sample.html", "and engine are those of the template; leave them empty")
            if sample.version:
                template = replace(template, html=(await self._find_version(template, sample.version)).html)
            domain, html, engine = template.domain, template.html, template.engine
        else:
            domain, html, engine = domain_name(sample.domain, "sample.domain"), sample.html, to_engine(sample.engine)
        if "\x00" in html or "\x00" in sample.text:
            raise InvalidArgument("sample", "must not contain a NUL")
        if (size := len(html.encode()) + len(sample.text.encode())) > self._max_bytes:
            raise LimitExceeded(f"sample: has {size} bytes; the limit is {self._max_bytes}")
        texts = {"html": html, "text": sample.text, "subject": sample.subject}
        if engine is Engine.JINJA:
            texts = await expand_texts(texts, partial(self._find_partials, domain))
        content = Content(
            sender_email=f"preview@{domain}",
            subject=texts["subject"],
            html=texts["html"],
            text=texts["text"],
            engine=engine,
        )
        return content, domain

    async def _find_partials(self, domain: str, titles: Collection[str]) -> list[tuple[str, str]]:
        async with self._db.acquire() as connection:
            return await templates.find_partials(connection, domain, titles)

    async def _find(self, template_id: str, field: str = "template_id") -> Template:
        missing = _no_template(template_id, field)
        valid = template_id if is_template_id(template_id) else None  # PostgreSQL refuses a text with a NUL
        return found(await templates.find_template(self._db, found(valid, missing)), missing)

    async def _find_version(self, template: Template, version: int) -> TemplateVersion:
        return found(
            await templates.find_template_version(self._db, template.template_id, version),
            f"version: the template has no version {version}",
        )


def _no_template(template_id: str, field: str = "template_id") -> str:
    return f'{field}: no template "{template_id[:100]}"'


def _to_version(version: TemplateVersion) -> pb.TemplateVersion:
    return pb.TemplateVersion(
        version=version.version,
        title=version.title,
        saved_at=timestamp(version.saved_at),
        bytes=version.bytes,
        html=version.html,
    )
