"""Checks of fields that several methods share.

In: fields of requests. Out: canonical values. InvalidArgument names the field, NotFound the absent object.
"""

from datetime import UTC, datetime
from typing import TypeVar

from kannon.errors import InvalidArgument, NotFound
from kannon.mail.address import canonical_domain

MAX_PAGE = 1000
"""Rows in one answer. A larger `take` is cut to this."""
MAX_MESSAGE_ID = 300  # msg_<24>@<domain of at most 253>
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

Value = TypeVar("Value")


def domain_name(text: str, field: str = "domain") -> str:
    try:
        return canonical_domain(text)
    except ValueError as error:
        raise InvalidArgument(field, str(error)) from None


def plain_text(text: str, field: str, *, longest: int) -> None:
    """One line of at most `longest` characters. Raises InvalidArgument."""
    if len(text) > longest:
        raise InvalidArgument(field, f"must not exceed {longest} characters")
    if any(c < " " or c == "\x7f" for c in text):
        raise InvalidArgument(field, "must not contain control characters")


def found(value: Value | None, missing: str) -> Value:
    if value is None:
        raise NotFound(missing)
    return value
