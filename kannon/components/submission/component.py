"""The submission component: SMTP servers on `submission.listen` (STARTTLS) and `listen_tls` (TLS from the start).

In: connections of applications. Out: batches, by the AcceptService, which this component runs.
"""

from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.accept.key_usage import KeyUsage
from kannon.accept.service import AcceptService
from kannon.components.submission.login import Authenticator, FindTenant
from kannon.components.submission.session import Services, SubmissionSession
from kannon.config import Submission as Settings
from kannon.errors import ConfigError
from kannon.metrics.names import SessionResult
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.server_tls import IssuedCertificates, make_server_tls
from kannon.smtp_server import Limits, Listener, Shared, SmtpServer
from kannon.smtp_server.limits import Memory
from kannon.smtp_server.session import OnSession

log = structlog.get_logger()


class Metrics(Protocol):
    def submission_ended(self, result: SessionResult) -> None: ...


class Submission:
    """`settings.hostname` is resolved (kannon.hostname). `max_bytes` is `message.max_bytes`; `usage`
    hears of logins from `find_tenant`; `issued`: the certificates that Kannon orders. `limits` is
    for tests."""

    name = "submission"

    def __init__(
        self,
        settings: Settings,
        max_bytes: int,
        accept: AcceptService,
        find_tenant: FindTenant,
        usage: KeyUsage,
        metrics: Metrics = NULL_METRICS,
        limits: Limits | None = None,
        issued: IssuedCertificates | None = None,
    ) -> None:
        self._issued = issued
        self._settings = settings
        self._limits = limits or Limits(
            max_bytes=max_bytes,
            max_connections=settings.max_connections,
            max_recipients=settings.max_recipients,
            max_commands=100_000,  # a client that has logged in may keep its connection
        )
        self._accept = accept
        self._find_tenant = find_tenant
        self._usage = usage
        self._metrics = metrics
        self._server: SmtpServer | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, once started: `listen`, then `listen_tls`."""
        return self._server.addresses if self._server is not None else []

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Raises AddressInUse or ConfigError."""
        settings = self._settings
        tls = make_server_tls("submission", settings.tls_cert, settings.tls_key, self._issued, settings.hostname)
        shared = Shared(self._limits, Memory(self._limits.max_memory), settings.hostname, tls)
        services = Services(self._accept, Authenticator(self._find_tenant))

        def new_session(on_progress: OnSession, on_close: OnSession) -> SubmissionSession:
            return SubmissionSession(shared, services, on_progress, on_close)

        listeners = [Listener("submission.listen", settings.listen)]
        if settings.listen_tls:
            if tls is None:
                raise ConfigError("configuration: submission.listen_tls needs submission.tls_cert and tls_key")
            listeners.append(Listener("submission.listen_tls", settings.listen_tls, tls.context))
        self._server = server = SmtpServer(self._limits, new_session, self._metrics.submission_ended)

        def started() -> None:
            listening = [f"{host}:{port}" for host, port in server.addresses]
            log.info("submission is listening", addresses=listening, tls=tls is not None)
            task_status.started()

        async with anyio.create_task_group() as group:
            group.start_soon(self._accept.run)
            group.start_soon(self._usage.run)
            await server.run(listeners, stop, started)
            group.cancel_scope.cancel()

    def submission_sessions(self) -> int:
        """The number of open sessions."""
        return self._server.open_sessions if self._server is not None else 0
