"""The smtp component: an SMTP server on `smtp.listen`, with STARTTLS where a certificate is configured."""

from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.components.smtp.handler import EventPublisher, MailHandler, Metrics, Registry
from kannon.components.smtp.postmaster import PostmasterMailbox
from kannon.components.smtp.session import InboundSession
from kannon.config import Smtp
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.server_tls import IssuedCertificates, make_server_tls
from kannon.smtp_server import Limits, Listener, Shared, SmtpServer
from kannon.smtp_server.limits import Memory
from kannon.smtp_server.session import OnSession

log = structlog.get_logger()


class InboundSmtp:
    """`config.hostname` is resolved (kannon.hostname). `registry` is the database, `publisher` the bus. `issued`:
    the certificates that Kannon orders, None where it orders none. `limits` is for tests."""

    name = "smtp"

    def __init__(
        self,
        config: Smtp,
        data_dir: Path,
        registry: Registry,
        publisher: EventPublisher,
        limits: Limits | None = None,
        metrics: Metrics = NULL_METRICS,
        issued: IssuedCertificates | None = None,
    ) -> None:
        self._issued = issued
        self._config = config
        self._limits = limits or Limits(max_bytes=config.max_bytes, max_connections=config.max_connections)
        limits = self._limits
        mailbox = PostmasterMailbox(data_dir / "postmaster", limits.max_unread, limits.max_unread_bytes)
        self._handler = MailHandler(registry, publisher, mailbox, config.hostname, metrics=metrics)
        self._metrics = metrics
        self._server: SmtpServer | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, once started."""
        return self._server.addresses if self._server is not None else []

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Raises AddressInUse or ConfigError."""
        config = self._config
        tls = make_server_tls("smtp", config.tls_cert, config.tls_key, self._issued, config.hostname)
        shared = Shared(self._limits, Memory(self._limits.max_memory), config.hostname, tls)

        def new_session(on_progress: OnSession, on_close: OnSession) -> InboundSession:
            return InboundSession(shared, self._handler, on_progress, on_close)

        self._server = server = SmtpServer(self._limits, new_session, self._metrics.session_ended)

        def started() -> None:
            listening = [f"{host}:{port}" for host, port in server.addresses]
            log.info("smtp is listening", addresses=listening, hostname=config.hostname, tls=tls is not None)
            task_status.started()

        await server.run([Listener("smtp.listen", config.listen)], stop, started)

    def inbound_sessions(self) -> int:
        """The number of open sessions."""
        return self._server.open_sessions if self._server is not None else 0
