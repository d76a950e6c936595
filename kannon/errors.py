"""The errors that Kannon raises on purpose, by the person or program that handles them.

A failed delivery is not an error but a value (kannon.mail.verdict). Errors are for the operator (OperatorError), the
caller of the API (CallerError, which components/api maps to gRPC statuses in one table), an unavailable dependency
(Unavailable), and a message that no component can handle (Poison). Any other exception is a bug.
"""

import errno
import os


class KannonError(Exception):
    """The base class. Its text is one line for people."""


class OperatorError(KannonError):
    """The operator must correct this. The process ends with exit code 1 and this line."""

    exit_code = 1


class ConfigError(OperatorError):
    """The configuration is wrong; exit code 78 (EX_CONFIG, sysexits.h). One line for each problem, with its key."""

    exit_code = 78


class AddressInUse(OperatorError):
    """Kannon cannot listen on a configured address."""

    @classmethod
    def because(cls, key: str, listen: str, error: OSError) -> "AddressInUse":
        """`key` is the configuration's. The system's text replaces asyncio's longer one; a failed name look-up has a
        negative number and only its own text."""
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        if error.errno == errno.EACCES:
            reason += " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)"
        return cls(f"{key}: {listen}: {reason}")


class SchemaMismatch(OperatorError):
    """The database schema is newer than this program, or older and external, so that only the operator migrates it."""


class Unavailable(KannonError):
    """PostgreSQL, NATS or a name server is unavailable. The same call may succeed later."""


class Throttled(Unavailable):
    """This process has no room for the call at present; every dependency answers."""


class DiskLow(Unavailable):
    """Less than disk.reserve is free, so no send is accepted. The text is fit for the caller."""


class Conflict(Unavailable):
    """PostgreSQL ended a transaction in favour of another one; nothing of it was stored. Repeat the whole of it."""


class Poison(KannonError):
    """No component can handle this message. It becomes a dead letter, and the other messages go on."""


class CallerError(KannonError):
    """The caller of the API made a mistake. Nothing is stored."""


class InvalidArgument(CallerError):
    """A field of the request is not valid. `field` is its path in the request."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFound(CallerError):
    """The object does not exist or belongs to another tenant; the answer is the same."""


class AlreadyExists(CallerError):
    """An object with that name exists."""


class PermissionDenied(CallerError):
    """The credentials are right but do not allow this call."""


class Unauthenticated(CallerError):
    """The credentials are missing, wrong, expired or revoked; the text is the same for all."""


class FailedPrecondition(CallerError):
    """The state of the object does not allow this call."""


class LimitExceeded(CallerError):
    """The call exceeds a configured limit (RESOURCE_EXHAUSTED)."""


class QuotaExceeded(LimitExceeded):
    """The mails of a key or a domain are used up. `retry_after` is in seconds; None: this send is always too large."""

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
