"""Every error this project raises on purpose, and what each one means to whom.

A failed delivery is not here: it is a value (kannon.mail.verdict). Errors are for the operator (OperatorError), the
caller of the API (CallerError; one table in components/api maps them to gRPC statuses), a dependency that is away
(Unavailable), and a message that can never be handled (Poison). Anything else that is raised is a bug.
"""

import errno
import os


class KannonError(Exception):
    """Root of all of them; its text is one line, fit to be shown."""


class OperatorError(KannonError):
    """Only the operator can mend this: the process ends with exit code 1 and this one line."""

    exit_code = 1


class ConfigError(OperatorError):
    """The configuration is wrong; exit code 78 (EX_CONFIG, sysexits.h). One line per fault, each naming its key."""

    exit_code = 78


class AddressInUse(OperatorError):
    """A configured address cannot be listened on."""

    @classmethod
    def because(cls, key: str, listen: str, error: OSError) -> "AddressInUse":
        """`key` is the configuration's. asyncio wraps the system's words in its own; name look-ups have negative
        numbers and words of their own."""
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        if error.errno == errno.EACCES:
            reason += " (ports below 1024 need the capability CAP_NET_BIND_SERVICE)"
        return cls(f"{key}: {listen}: {reason}")


class SchemaMismatch(OperatorError):
    """The database's schema is newer than this program, or behind it and not ours to migrate."""


class Unavailable(KannonError):
    """PostgreSQL, NATS or a name server is away; the same call may succeed later."""


class Throttled(Unavailable):
    """This process has no room for the call at present; every dependency answers."""


class Conflict(Unavailable):
    """PostgreSQL ended a transaction in favour of another one; nothing of it was stored. Repeat the whole of it."""


class Poison(KannonError):
    """This message can never be handled; it is set aside and its neighbours go on."""


class CallerError(KannonError):
    """The API caller's fault; nothing was stored."""


class InvalidArgument(CallerError):
    """A field of the request is not acceptable. `field` is its path in the request, `problem` what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFound(CallerError):
    """Absent, or another tenant's: the two are not told apart."""


class AlreadyExists(CallerError):
    """There is one of that name already."""


class PermissionDenied(CallerError):
    """Authenticated, but not for this."""


class Unauthenticated(CallerError):
    """Credentials missing, wrong, expired or deactivated; one text for all of them."""


class FailedPrecondition(CallerError):
    """Not in the present state of the thing."""


class LimitExceeded(CallerError):
    """Over a configured limit (RESOURCE_EXHAUSTED)."""
