"""kannon.admin.v1.Templates: each save is a version, a batch keeps its own; previews, and what is wrong with them."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf import json_format
from grpclib.const import Status

from kannon.db import templates
from kannon.db.batches import find_batches
from kannon.db.pool import Database
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.v1 import templates_pb2 as pb
from kannon.pb.admin.v1.templates_grpc import TemplatesStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.api import ADMIN, RunningApi, refusal, running_api

DOMAIN = "example.com"


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain(DOMAIN)
        yield api


async def create(api: RunningApi, html: str, engine: str = "") -> str:
    request = admin.CreateTemplateReq(domain=DOMAIN, html=html, title="v1", engine=engine)
    return (await api.admin.CreateTemplate(request, metadata=ADMIN)).template.template_id


async def save(api: RunningApi, template_id: str, html: str, title: str = "") -> None:
    request = admin.UpdateTemplateReq(template_id=template_id, html=html, title=title)
    await api.admin.UpdateTemplate(request, metadata=ADMIN)


async def send(api: RunningApi, template_id: str) -> str:
    request = SendTemplateReq(
        template_id=template_id,
        subject="s",
        sender=Sender(email=f"a@{DOMAIN}"),
        recipients=[Recipient(email="bob@example.net")],
    )
    return (await api.mailer.SendTemplate(request, metadata=ADMIN | {"x-kannon-domain": DOMAIN})).message_id


async def versions(api: RunningApi, template_id: str) -> list[pb.TemplateVersion]:
    request = pb.ListVersionsRequest(template_id=template_id)
    return list((await TemplatesStub(api.channel).ListVersions(request, metadata=ADMIN)).versions)


async def test_a_batch_keeps_the_version_that_it_was_accepted_with(api: RunningApi, db: Database) -> None:
    template_id = await create(api, "one")
    first = await send(api, template_id)
    await save(api, template_id, "two", "v2")
    second, again = await send(api, template_id), await send(api, template_id)
    await TemplatesStub(api.channel).RestoreVersion(
        pb.RestoreVersionRequest(template_id=template_id, version=1), metadata=ADMIN
    )
    third = await send(api, template_id)
    loaded = (await find_batches(db, [first, second, again, third])).loaded
    assert [loaded[each].batch.content.html for each in (first, second, again, third)] == ["one", "two", "two", "one"]
    assert [(v.version, v.title, v.bytes, v.html) for v in await versions(api, template_id)] == [
        (3, "v1", 3, ""),
        (2, "v2", 3, ""),
        (1, "v1", 3, ""),
    ]
    found = await TemplatesStub(api.channel).GetVersion(
        pb.GetVersionRequest(template_id=template_id, version=2), metadata=ADMIN
    )
    assert found.version.html == "two"


async def test_old_versions_go_unless_mail_waits_for_them(
    api: RunningApi, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "KEPT_VERSIONS", 2)
    template_id = await create(api, "1")
    waiting = await send(api, template_id)
    for number in range(2, 7):
        await save(api, template_id, str(number))
    assert [v.version for v in await versions(api, template_id)] == [6, 5, 4, 1]
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
    await save(api, template_id, "7")
    assert [v.version for v in await versions(api, template_id)] == [7, 6, 5]
    assert waiting not in (await find_batches(db, [waiting])).loaded


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        (lambda stub: stub.ListVersions, pb.ListVersionsRequest(template_id="template_x@example.com")),
        (lambda stub: stub.ListVersions, pb.ListVersionsRequest(template_id="\0")),
        (lambda stub: stub.GetVersion, pb.GetVersionRequest(version=1)),
        (lambda stub: stub.RestoreVersion, pb.RestoreVersionRequest(template_id="@", version=-1)),
    ],
)
async def test_what_does_not_exist_is_not_found(api: RunningApi, call: Callable[[Any], Any], request_: Any) -> None:
    status, text = await refusal(call(TemplatesStub(api.channel))(request_, metadata=ADMIN))
    assert (status, text.partition(":")[0]) == (Status.NOT_FOUND, "template_id")


async def test_a_template_lacks_a_version(api: RunningApi) -> None:
    request = pb.RestoreVersionRequest(template_id=await create(api, "x"), version=2)
    status = await refusal(TemplatesStub(api.channel).RestoreVersion(request, metadata=ADMIN))
    assert status == (Status.NOT_FOUND, "version: the template has no version 2")


async def test_partials_are_checked_when_a_template_is_saved_and_shown_in_its_preview(api: RunningApi) -> None:
    html = "x\n{% include 'footer' %}"
    status, text = await refusal(create(api, html, "jinja"))
    assert status is Status.INVALID_ARGUMENT
    assert text == 'html: the domain has no jinja template with the title "footer" (line 2, column 1)'
    footer = await create(api, "<p>first</p>", "jinja")
    await save(api, footer, "<p>{{ name }}</p>", "footer")
    template_id = await create(api, html, "jinja")
    status, text = await refusal(save(api, template_id, "{% include 'other' %}"))
    assert (status, "other" in text) == (Status.INVALID_ARGUMENT, True)
    assert (await preview(api, sample(template_id=template_id))).html == "x\n<p>[name]</p>"


def sample(data: dict[str, Any] | None = None, **rest: Any) -> pb.TemplateSample:
    made = pb.TemplateSample(**({"domain": DOMAIN} | rest))
    if data is not None:
        json_format.ParseDict(data, made.data)
    return made


async def preview(api: RunningApi, of: pb.TemplateSample) -> pb.PreviewTemplateResponse:
    return await TemplatesStub(api.channel).PreviewTemplate(pb.PreviewTemplateRequest(sample=of), metadata=ADMIN)


async def test_a_preview_shows_what_a_recipient_would_get(api: RunningApi) -> None:
    html = (
        "<p>{{ name }} {{ order.total|upper }} {{ order.id }}</p>"
        '{% for l in lines %}<a href="https://x.example/{{ l }}">a</a>{% endfor %}'
    )
    template_id = await create(api, html, "jinja")
    await save(api, template_id, "other")
    of = sample({"lines": ["b c", "d"]}, template_id=template_id, version=1, subject="S {{ name }}", fields={"x": "y"})
    found = await preview(api, of)
    assert found.html == (
        '<p>[name] [ORDER.TOTAL] [order.id]</p><a href="https://x.example/b%20c">a</a><a href="https://x.example/d">a</a>'
    )
    assert found.text.split("\n")[0] == "[name] [ORDER.TOTAL] [order.id]"
    assert (found.subject, list(found.links)) == ("S [name]", ["https://x.example/b%20c", "https://x.example/d"])
    assert sorted(found.missing_fields) == ["name", "order", "order.id", "order.total"]
    assert found.bytes > len(found.html)


async def test_a_preview_of_a_plain_template_names_the_missing_fields(api: RunningApi) -> None:
    found = await preview(api, sample(html="<p>{{ a }} {{ b }} {{ email }}</p>", fields={"a": "<"}, text="{{ c }}"))
    assert (found.html, found.text) == ("<p>&lt; {{ b }} recipient@example.com</p>", "{{ c }}")
    assert list(found.missing_fields) == ["b", "c"]


@pytest.mark.parametrize(
    ("of", "status", "message"),
    [
        (sample(html="x\n{{ a|b }}", engine="jinja"), Status.INVALID_ARGUMENT, "sample.html: there is no filter"),
        (sample(html="x", engine="other"), Status.INVALID_ARGUMENT, "engine: "),
        (sample({"a": 1}, html="x"), Status.INVALID_ARGUMENT, "sample.data: needs a template of engine jinja"),
        (sample(html="x\0"), Status.INVALID_ARGUMENT, "sample: must not contain a NUL"),
        (sample(html="x", subject="a\nb"), Status.INVALID_ARGUMENT, "sample.subject: "),
        (sample(domain="", html="x"), Status.INVALID_ARGUMENT, "sample.domain: "),
        (sample(template_id="template_x@example.com"), Status.NOT_FOUND, "sample.template_id: no template"),
    ],
)
async def test_a_bad_sample_is_refused(api: RunningApi, of: pb.TemplateSample, status: Status, message: str) -> None:
    found, text = await refusal(preview(api, of))
    assert found is status
    assert text.startswith(message)


async def test_values_that_cannot_be_rendered_are_a_problem_of_the_preview(api: RunningApi) -> None:
    found = await preview(api, sample({"a": "x"}, html="{{ a|money }}", engine="jinja"))
    assert (found.html, found.problem) == ("", 'html: money: "x" is not a number')
    of = sample(html="{% for a in range(999999) %}{% endfor %}", engine="jinja")
    request = pb.LintTemplateRequest(sample=of)
    status, text = await refusal(TemplatesStub(api.channel).LintTemplate(request, metadata=ADMIN))
    assert (status, "range: has more than 10000 numbers" in text) == (Status.INVALID_ARGUMENT, True)


async def test_lint_finds_what_providers_and_readers_have_trouble_with(api: RunningApi) -> None:
    html = '<img src="https://x.example/a.png" style="y"><a href="http://x.example/"></a>' + "<!-- -->" * 14_000
    request = pb.LintTemplateRequest(sample=sample(html=html + "<b title='{{ a }}'></b>"), bulk=True)
    found = (await TemplatesStub(api.channel).LintTemplate(request, metadata=ADMIN)).findings
    assert [each.code for each in found] == [
        "image_without_alt",
        "image_without_size",
        "link_without_https",
        "too_large",
        "no_text",
        "no_unsubscribe",
        "missing_field",
    ]
    good = '<p>x <a href="https://x.example/unsubscribe">y</a><img src="a" alt="" width="1" height="1"></p>'
    request = pb.LintTemplateRequest(sample=sample(html=good), bulk=True)
    assert not (await TemplatesStub(api.channel).LintTemplate(request, metadata=ADMIN)).findings
