"""The factory of each component: from the parts that a process shares to a component.

In: Parts. Out: components for kannon.component_table.
"""

import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from kannon.accept.key_usage import KeyUsage
from kannon.accept.limiter import PLACES, SendLimiter
from kannon.accept.sending_key import sending_key
from kannon.accept.service import AcceptService
from kannon.acme.client import AcmeClient
from kannon.component_parts import Parts, now
from kannon.components.api import Api, ApiSettings
from kannon.components.bump import Bump
from kannon.components.bump.challenges import no_challenges
from kannon.components.certificates import AcmeServer, Certificates
from kannon.components.dispatcher import (
    Builder,
    BuildOptions,
    Dispatcher,
    Outcomes,
    Scheduler,
    SchedulerLimits,
)
from kannon.components.sender import Sender
from kannon.components.smtp import InboundSmtp
from kannon.components.smtp.registry import DatabaseRegistry
from kannon.components.stats import Stats, Submitter, TlsReports
from kannon.components.submission import Submission
from kannon.components.validator import Validator
from kannon.components.webhooks import Webhooks
from kannon.config import Config, split_listen
from kannon.config.render import render
from kannon.db import keys
from kannon.db.certificates import list_challenges
from kannon.db.pool import ACQUIRE_TIMEOUT_SECONDS
from kannon.db.schema import check_schema
from kannon.dns_lookup import make_lookup, make_txt_lookup
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind, ServerNames, is_public_host
from kannon.mail.guard import GuardRule
from kannon.mail.retry import RetryBudget
from kannon.mail.send_request import Limits
from kannon.mail.suppression import SuppressionRule
from kannon.mail.tls_report import Reporter
from kannon.outbound import Deliverer, Sandbox
from kannon.outbound.client.tls import make_contexts
from kannon.outbound.http_post import Poster
from kannon.outbound.tls_results import TlsResults
from kannon.runner.unit import Component
from kannon.server_tls import IssuedCertificates, make_server_tls
from kannon.wire.sends import SendResCodec

BOUNCE_GRACE: Final = timedelta(days=30)  # a bounce may arrive this long after the end of the retry window


def make_api(parts: Parts) -> Component:
    config, bus = parts.config, parts.bus
    host, port = split_listen(config.api.listen)
    settings = ApiSettings(
        host=host,
        port=port,
        admin_token=config.api.admin_token.get_secret_value() or parts.data_dir.admin_token(),
        max_request_bytes=config.api.max_request_bytes,
        limits=Limits(config.message.max_bytes, config.message.max_recipients),
        suppression=config.suppression.enabled,
        retry_window=config.retry.window,
        retention=config.stats.retention,
        guard=guard_rule(config),
        tls_cert=config.api.tls_cert,
        tls_key=config.api.tls_key,
        webhooks_allow_http=config.webhooks.allow_http,
        cors_origins=config.api.cors_origins,
        servers=_server_names(config),
        describe_config=partial(render, config),
        viewer_token=config.api.viewer_token.get_secret_value(),
    )
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "postgres": partial(check_schema, parts.background.fail_fast()),
        "nats": bus.ping,
        "components": partial(_check_components, parts),
    }
    check_disk = parts.disk.check if parts.disk is not None else _accept_always
    checks["disk"] = partial(_check_disk, check_disk)
    look_up = make_txt_lookup(config.dns.nameservers)
    return Api(
        settings,
        parts.db,
        bus,
        checks,
        look_up,
        make_lookup(config.dns.nameservers),
        parts.metrics,
        background=parts.background,
        check_disk=check_disk,
    )


def guard_rule(config: Config) -> GuardRule:
    guard = config.guard
    return GuardRule(
        enabled=guard.enabled,
        after_outcomes=guard.after_outcomes,
        dead_percent=guard.dead_percent,
        after_delivered=guard.after_delivered,
        complaint_percent=guard.complaint_percent,
    )


def _server_names(config: Config) -> ServerNames:
    """In sandbox mode the tracking server has no name to publish."""
    tracking = urlsplit(config.bump.base_url).hostname or ""
    return ServerNames(config.sender.hostname, config.smtp.hostname, tracking if is_public_host(tracking) else "")


async def _check_components(parts: Parts) -> None:
    if lacking := parts.lacking():
        raise Unavailable(f"not ready: {', '.join(lacking)}")


def _accept_always() -> None:
    """No server is embedded, so nothing grows on this machine's disk."""


async def _check_disk(check: Callable[[], None]) -> None:
    check()


def make_validator(parts: Parts) -> Component:
    return Validator(
        parts.background, parts.bus, lost_before=parts.lost_before, alone=parts.alone, metrics=parts.metrics
    )


def make_dispatcher(parts: Parts) -> Component:
    config, db, bus = parts.config, parts.background, parts.bus
    options = BuildOptions(
        base_url=config.bump.base_url,
        autoescape=config.message.autoescape,
        token_ttl=config.tracking.token_ttl,
        bounce_ttl=config.retry.window + BOUNCE_GRACE,
    )
    budget = RetryBudget(config.retry.window, config.retry.first, config.retry.max)
    limits = SchedulerLimits(
        page=config.dispatcher.page,
        max_backlog=config.dispatcher.max_backlog,
        max_backlog_bytes=config.dispatcher.max_backlog_bytes,
        workers=config.dispatcher.workers,
    )
    builder = Builder(db, options, workers=config.dispatcher.workers, clock=now)
    outcomes = Outcomes(db, bus, budget=budget, chance=random.random, metrics=parts.metrics)
    scheduler = Scheduler(db, bus, builder, limits, clock=now, metrics=parts.metrics)
    return Dispatcher(
        db,
        bus,
        scheduler,
        outcomes,
        builder,
        budget=budget,
        lease=config.dispatcher.lease,
        lost_before=parts.lost_before,
        alone=parts.alone,
    )


def make_sender(parts: Parts) -> Component:
    config = parts.config
    deliverer: Deliverer | Sandbox
    tls_results = TlsResults(now) if config.tlsrpt.send else None
    if config.sender.mode == "sandbox":
        deliverer = Sandbox(parts.data_dir.path / "sandbox", config.sender, config.smtp)
    else:
        deliverer = Deliverer(
            config.sender,
            config.dns,
            policies=parts.bus,
            tls_results=tls_results,
            warm_up_counter=parts.bus,
            on_warm_up=parts.metrics.warmed_up,
        )
    return Sender(
        deliverer,
        parts.bus,
        clock=now,
        max_bytes=config.sender.max_bytes_in_flight,
        alone=parts.only_sender,
        metrics=parts.metrics,
        tls_results=tls_results,
    )


def make_smtp(parts: Parts) -> Component:
    registry = DatabaseRegistry(replace(parts.background, acquire_timeout=ACQUIRE_TIMEOUT_SECONDS), parts.bus)
    return InboundSmtp(
        parts.config.smtp, parts.data_dir.path, registry, parts.bus, metrics=parts.metrics, issued=parts.issued
    )


def make_submission(parts: Parts) -> Component:
    config, db = parts.config, parts.db
    usage = KeyUsage(parts.background.fail_fast())
    accept = AcceptService(
        db,
        Limits(config.message.max_bytes, config.message.max_recipients),
        parts.bus,
        SendResCodec(),
        SendLimiter(min(PLACES, max(1, db.size // 2))),
        suppression=config.suppression.enabled,
        metrics=parts.metrics,
        check_disk=parts.disk.check if parts.disk is not None else _accept_always,
        background=parts.background,
    )
    find_tenant = sending_key(db.fail_fast(), usage)
    return Submission(
        config.submission, config.message.max_bytes, accept, find_tenant, usage, parts.metrics, issued=parts.issued
    )


def make_bump(parts: Parts) -> Component:
    config = parts.config.bump
    default = urlsplit(config.base_url).hostname or ""
    tls = make_server_tls("bump", config.tls_cert, config.tls_key, parts.issued, default)
    return Bump(
        parts.bus,
        partial(keys.list_verification_keys, replace(parts.background, acquire_timeout=ACQUIRE_TIMEOUT_SECONDS)),
        listen=config.listen,
        listen_tls=config.listen_tls,
        tls=tls,
        list_challenges=partial(list_challenges, parts.background) if parts.issued is not None else no_challenges,
        base_url=config.base_url,
        trusted_proxies=config.trusted_proxies,
        max_connections=config.max_connections,
        clock=now,
        new_id=partial(secrets.token_hex, 16),
        metrics=parts.metrics,
    )


def make_certificates(parts: Parts, issued: IssuedCertificates) -> Certificates:
    """For the names of the configuration, and those of tenants' links."""
    config = parts.config
    look_up = make_lookup(config.dns.nameservers)

    def make_client(account_key: str) -> AcmeClient:
        return AcmeClient(config.acme.directory, config.acme.contact, account_key, config.acme.ca_file)

    return Certificates(
        parts.background,
        issued,
        AcmeServer(config.acme.directory, make_client),
        [
            config.sender.hostname,
            config.smtp.hostname,
            config.submission.hostname,
            urlsplit(config.bump.base_url).hostname or "",
        ],
        lambda name: look_up(name, Kind.ADDRESS),
        now,
    )


def make_stats(parts: Parts) -> Component:
    config = parts.config.suppression
    rule = SuppressionRule(config.enabled, config.bounce_expiry, config.complaint_expiry)
    return Stats(
        parts.background,
        parts.bus,
        retention=parts.config.stats.retention,
        rule=rule,
        guard=guard_rule(parts.config),
        clock=now,
        metrics=parts.metrics,
        tls_reports=_tls_reports(parts) if parts.config.tlsrpt.send else None,
    )


def _tls_reports(parts: Parts) -> TlsReports:
    config = parts.config
    contact = config.tlsrpt.contact
    limits = Limits(config.message.max_bytes, config.message.max_recipients)
    return TlsReports(
        parts.background,
        Reporter(config.tlsrpt.organization or contact.rpartition("@")[2], contact),
        make_lookup(config.dns.nameservers),
        Submitter(parts.background, limits, parts.bus).submit,
        clock=now,
        context=make_contexts(config.sender.tls_ca_file).strict,
        public_only=not config.sender.allow_private_mx,
    )


def make_webhooks(parts: Parts) -> Component:
    config = parts.config
    look_up = make_lookup(config.dns.nameservers)

    async def resolve(name: str) -> list[str]:
        try:
            return await look_up(name, Kind.ADDRESS)
        except Unavailable as error:
            raise OSError(str(error)) from None

    poster = Poster(
        allow_private=config.webhooks.allow_private,
        ca_file=config.webhooks.tls_ca_file,
        resolve=resolve if config.dns.nameservers else None,
    )
    servers = ServerNames(config.sender.hostname, config.smtp.hostname, urlsplit(config.bump.base_url).hostname or "")
    return Webhooks(
        parts.background,
        parts.bus,
        poster,
        owner=secrets.token_hex(8),
        chance=random.random,
        # Mail in a sandbox needs no records.
        records=(look_up, servers) if config.sender.mode == "direct" else None,
        lost_before=parts.lost_before,
        metrics=parts.metrics,
    )
