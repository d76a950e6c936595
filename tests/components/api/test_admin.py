"""The admin service: domains, templates, API keys; what each refuses and what it shows."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.db.pool import Database
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as pb
from kannon.pb.tracking.types.tracking_pb2 import TrackingPolicy
from tests.support.api import ADMIN, RunningApi, a_send, policy, refusal, running_api

FUTURE = Timestamp(seconds=4102444800)

BAD_REQUESTS: list[tuple[str, Any, Status, str]] = [
    *[
        (method, request(domain=domain), Status.INVALID_ARGUMENT, "domain:")
        for domain in (
            "",
            " ",
            "com",
            "a..b",
            ".example.com",
            "example.com.",
            "exa mple.com",
            "a" * 64 + ".com",
            "a.b/c",
            "x" * 250 + ".com",
            "ex\0ample.com",
            "-\n.com",
            "*.com",
        )
        for method, request in (
            ("CreateDomain", pb.CreateDomainRequest),
            ("GetDomain", pb.GetDomainReq),
            ("SetTrackingPolicy", pb.SetTrackingPolicyReq),
            ("CreateTemplate", pb.CreateTemplateReq),
            ("GetTemplates", pb.GetTemplatesReq),
            ("CreateAPIKey", pb.CreateAPIKeyRequest),
            ("ListAPIKeys", pb.ListAPIKeysRequest),
            ("GetAPIKey", pb.GetAPIKeyRequest),
            ("DeactivateAPIKey", pb.DeactivateAPIKeyRequest),
        )
    ],
    *[
        (method, request, Status.NOT_FOUND, "domain:")
        for method, request in (
            ("GetDomain", pb.GetDomainReq(domain="absent.org")),
            ("SetTrackingPolicy", pb.SetTrackingPolicyReq(domain="absent.org")),
            ("CreateTemplate", pb.CreateTemplateReq(domain="absent.org", html="x")),
            ("GetTemplates", pb.GetTemplatesReq(domain="absent.org")),
            ("CreateAPIKey", pb.CreateAPIKeyRequest(domain="absent.org", name="x")),
            ("ListAPIKeys", pb.ListAPIKeysRequest(domain="absent.org")),
        )
    ],
    ("CreateDomain", pb.CreateDomainRequest(domain="EXAMPLE.com "), Status.ALREADY_EXISTS, "domain:"),
    ("CreateTemplate", pb.CreateTemplateReq(domain="example.com", title="x" * 201), Status.INVALID_ARGUMENT, "title:"),
    ("CreateTemplate", pb.CreateTemplateReq(domain="example.com", title="a\0"), Status.INVALID_ARGUMENT, "title:"),
    ("CreateTemplate", pb.CreateTemplateReq(domain="example.com", html="a\0"), Status.INVALID_ARGUMENT, "html:"),
    (
        "CreateTemplate",
        pb.CreateTemplateReq(domain="example.com", html="ß" * (1 << 20)),
        Status.RESOURCE_EXHAUSTED,
        "html:",
    ),
    *[
        (method, request(template_id=template_id), status, "template_id:")
        for method, request in (
            ("GetTemplate", pb.GetTemplateReq),
            ("UpdateTemplate", pb.UpdateTemplateReq),
            ("DeleteTemplate", pb.DeleteTemplateReq),
        )
        for template_id, status in (
            ("", Status.INVALID_ARGUMENT),
            ("x\0", Status.NOT_FOUND),
            ("template_" + "a" * 24 + "@example.com", Status.NOT_FOUND),
        )
    ],
    ("CreateAPIKey", pb.CreateAPIKeyRequest(domain="example.com"), Status.INVALID_ARGUMENT, "name:"),
    ("CreateAPIKey", pb.CreateAPIKeyRequest(domain="example.com", name="  "), Status.INVALID_ARGUMENT, "name:"),
    ("CreateAPIKey", pb.CreateAPIKeyRequest(domain="example.com", name="x" * 101), Status.INVALID_ARGUMENT, "name:"),
    ("CreateAPIKey", pb.CreateAPIKeyRequest(domain="example.com", name="a\nb"), Status.INVALID_ARGUMENT, "name:"),
    (
        "CreateAPIKey",
        pb.CreateAPIKeyRequest(domain="example.com", name="x", expires_at=Timestamp(seconds=1)),
        Status.INVALID_ARGUMENT,
        "expires_at:",
    ),
    (
        "CreateAPIKey",
        pb.CreateAPIKeyRequest(domain="example.com", name="x", expires_at=Timestamp(seconds=10**13)),
        Status.INVALID_ARGUMENT,
        "expires_at:",
    ),
    ("ListAPIKeys", pb.ListAPIKeysRequest(domain="example.com", offset=-1), Status.INVALID_ARGUMENT, "offset:"),
    *[
        (method, request(domain="example.com", id=key_id), status, "id:")
        for method, request in (("GetAPIKey", pb.GetAPIKeyRequest), ("DeactivateAPIKey", pb.DeactivateAPIKeyRequest))
        for key_id, status in (
            ("", Status.INVALID_ARGUMENT),
            ("key_\0", Status.NOT_FOUND),
            ("key_" + "a" * 24, Status.NOT_FOUND),
        )
    ],
]


async def test_bad_requests_are_refused_by_field(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        seen = [
            await refusal(getattr(api.admin, method)(request, metadata=ADMIN)) for method, request, _, _ in BAD_REQUESTS
        ]
    for (method, request, status, beginning), (found, text) in zip(BAD_REQUESTS, seen, strict=True):
        assert found is status, (method, str(request)[:200], text)
        assert text.startswith(beginning), (method, str(request)[:200], text)


async def test_a_domain_is_made_with_a_key_and_moderate_tracking(db: Database) -> None:
    async with running_api(db) as api:
        made = await api.admin.CreateDomain(pb.CreateDomainRequest(domain=" Mail.Exämple.COM "), metadata=ADMIN)
        found = await api.admin.GetDomain(pb.GetDomainReq(domain="mail.xn--exmple-cua.com"), metadata=ADMIN)
        await api.create_domain("a.org")
        listed = await api.admin.GetDomains(pb.GetDomainsReq(), metadata=ADMIN)
    assert made.domain == "mail.xn--exmple-cua.com"
    assert (made.tracking.opens, made.tracking.links) == (4, 4)
    key = load_der_public_key(base64.b64decode(made.dkim_pub_key, validate=True))
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 2048
    assert found.domain == made
    assert [d.domain for d in listed.domains] == ["a.org", "mail.xn--exmple-cua.com"]


@pytest.mark.parametrize("name", ["_dmarc.example.com", "a-b.example.com", "1.2", "x" * 63 + ".com"])
async def test_odd_but_allowed_domain_names(db: Database, name: str) -> None:
    async with running_api(db) as api:
        made = await api.admin.CreateDomain(pb.CreateDomainRequest(domain=name), metadata=ADMIN)
    assert made.domain == name


async def test_a_tracking_policy_replaces_both_axes(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")

        async def set_policy(policy: TrackingPolicy | None) -> tuple[int, int]:
            request = pb.SetTrackingPolicyReq(domain="example.com", tracking=policy)
            response = await api.admin.SetTrackingPolicy(request, metadata=ADMIN)
            return response.domain.tracking.opens, response.domain.tracking.links

        assert await set_policy(policy(5, 2)) == (5, 2)
        assert await set_policy(policy(0, 3)) == (1, 3)
        assert await set_policy(None) == (1, 1)
        for axis, unknown in (("opens", policy(6, 0)), ("links", policy(0, 6))):
            status, text = await refusal(set_policy(unknown))
            assert (status, text) == (Status.INVALID_ARGUMENT, f"tracking.{axis}: unknown mode 6")
        found = await api.admin.GetDomain(pb.GetDomainReq(domain="example.com"), metadata=ADMIN)
    assert (found.domain.tracking.opens, found.domain.tracking.links) == (1, 1)


async def test_templates_from_creation_to_deletion(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        create = pb.CreateTemplateReq(domain="Example.com", html="<p>ü</p>", title="x" * 200)
        made = (await api.admin.CreateTemplate(create, metadata=ADMIN)).template
        assert re.fullmatch(r"template_[a-z0-9]{24}@example\.com", made.template_id)
        assert (made.html, made.title, made.type) == ("<p>ü</p>", "x" * 200, "template")
        by_id = pb.GetTemplateReq(template_id=made.template_id)
        assert (await api.admin.GetTemplate(by_id, metadata=ADMIN)).template == made
        change = pb.UpdateTemplateReq(template_id=made.template_id, html="new", title="")
        changed = (await api.admin.UpdateTemplate(change, metadata=ADMIN)).template
        assert (changed.html, changed.title) == ("new", "")
        gone = await api.admin.DeleteTemplate(pb.DeleteTemplateReq(template_id=made.template_id), metadata=ADMIN)
        assert gone.template == changed
        status, _ = await refusal(api.admin.GetTemplate(by_id, metadata=ADMIN))
        assert status is Status.NOT_FOUND


async def test_a_template_that_waiting_mail_needs_stays(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        answer = await api.mailer.SendHTML(a_send(), metadata=await api.create_key("example.com"))
        delete = pb.DeleteTemplateReq(template_id=answer.template_id)
        status, text = await refusal(api.admin.DeleteTemplate(delete, metadata=ADMIN))
        assert (status, text.split(":")[0]) == (Status.FAILED_PRECONDITION, "template_id")
        async with db.acquire() as connection:
            await connection.execute("DELETE FROM sending_pool_emails")
        assert await refusal(api.admin.DeleteTemplate(delete, metadata=ADMIN)) == (Status.OK, "")


async def test_persistent_templates_are_listed_oldest_first(db: Database) -> None:
    async with running_api(db) as api:
        for domain in ("example.com", "other.org"):
            await api.create_domain(domain)
            for title in "abc":
                request = pb.CreateTemplateReq(domain=domain, html=domain, title=title)
                await api.admin.CreateTemplate(request, metadata=ADMIN)
        await api.mailer.SendHTML(a_send(), metadata=await api.create_key("example.com"))

        async def page(skip: int, take: int) -> tuple[str, int]:
            request = pb.GetTemplatesReq(domain="example.com", skip=skip, take=take)
            response = await api.admin.GetTemplates(request, metadata=ADMIN)
            assert all(t.html == "example.com" for t in response.templates)
            return "".join(t.title for t in response.templates), response.total

        assert await page(0, 10) == ("abc", 3)
        assert await page(1, 1) == ("b", 3)
        assert await page(0, 0) == ("", 3)
        assert await page(2**32 - 1, 2**32 - 1) == ("", 3)


async def test_a_secret_is_shown_once_and_stored_as_a_hash(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        request = pb.CreateAPIKeyRequest(domain="example.com", name="x" * 100, expires_at=FUTURE)
        made = await api.admin.CreateAPIKey(request, metadata=ADMIN)
        by_id = pb.GetAPIKeyRequest(domain="example.com", id=made.api_key.id)
        found = await api.admin.GetAPIKey(by_id, metadata=ADMIN)
        async with db.acquire() as connection:
            stored = await connection.fetchval("SELECT array_agg(to_jsonb(k)::text) FROM api_keys k")
    assert re.fullmatch(r"k_[A-Za-z0-9]{64}", made.key)
    assert re.fullmatch(r"key_[a-z0-9]{24}", made.api_key.id)
    assert made.api_key.key == made.key[:8] + "..."
    assert found.api_key == made.api_key
    assert found.api_key.expires_at == FUTURE
    assert found.api_key.is_active
    assert not found.api_key.HasField("deactivated_at")
    assert made.key not in stored[0]


async def test_keys_are_listed_newest_first_and_only_their_domains(db: Database) -> None:
    async with running_api(db) as api:
        ids = await _make_keys(api, "example.com", 4)
        await _make_keys(api, "other.org", 1)
        deactivate = pb.DeactivateAPIKeyRequest(domain="example.com", id=ids[1])
        await api.admin.DeactivateAPIKey(deactivate, metadata=ADMIN)
        async with db.acquire() as connection:
            await connection.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", ids[2])

        async def page(**arguments: Any) -> tuple[list[int], int]:
            response = await api.admin.ListAPIKeys(
                pb.ListAPIKeysRequest(domain="example.com", **arguments), metadata=ADMIN
            )
            return [ids.index(k.id) for k in response.api_keys], response.total

        assert await page() == ([3, 2, 1, 0], 4)
        assert await page(limit=-5) == ([3, 2, 1, 0], 4)
        assert await page(limit=2, offset=1) == ([2, 1], 4)
        assert await page(only_active=True) == ([3, 0], 2)
        assert await page(limit=2**31 - 1, offset=2**31 - 1) == ([], 4)


async def test_the_default_and_the_largest_page_of_keys(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO api_keys (id, domain, name, prefix, secret_sha256)"
                " SELECT 'key_' || i, 'example.com', 'n', 'k_', i::text::bytea FROM generate_series(1, 1001) i"
            )
        sizes = [
            len((await api.admin.ListAPIKeys(
                pb.ListAPIKeysRequest(domain="example.com", limit=limit), metadata=ADMIN
            )).api_keys)
            for limit in (0, 1000, 5000)
        ]  # fmt: skip
    assert sizes == [100, 1000, 1000]


async def test_deactivation_is_for_good_and_a_second_one_changes_nothing(db: Database) -> None:
    async with running_api(db) as api:
        [key_id] = await _make_keys(api, "example.com", 1)
        request = pb.DeactivateAPIKeyRequest(domain="example.com", id=key_id)
        before = datetime.now(UTC)
        first = await api.admin.DeactivateAPIKey(request, metadata=ADMIN)
        second = await api.admin.DeactivateAPIKey(request, metadata=ADMIN)
    assert not first.api_key.is_active
    assert before - timedelta(seconds=1) < first.api_key.deactivated_at.ToDatetime(UTC)
    assert second == first


async def test_another_domains_key_is_not_found(db: Database) -> None:
    async with running_api(db) as api:
        [key_id] = await _make_keys(api, "example.com", 1)
        await api.create_domain("other.org")
        get = pb.GetAPIKeyRequest(domain="other.org", id=key_id)
        deactivate = pb.DeactivateAPIKeyRequest(domain="other.org", id=key_id)
        for call in (
            api.admin.GetAPIKey(get, metadata=ADMIN),
            api.admin.DeactivateAPIKey(deactivate, metadata=ADMIN),
        ):
            status, _ = await refusal(call)
            assert status is Status.NOT_FOUND
        kept = await api.admin.GetAPIKey(pb.GetAPIKeyRequest(domain="example.com", id=key_id), metadata=ADMIN)
    assert kept.api_key.is_active


async def _make_keys(api: RunningApi, domain: str, count: int) -> list[str]:
    await api.create_domain(domain)
    made = [
        await api.admin.CreateAPIKey(pb.CreateAPIKeyRequest(domain=domain, name=f"key {i}"), metadata=ADMIN)
        for i in range(count)
    ]
    return [each.api_key.id for each in made]
