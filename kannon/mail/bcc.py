"""Bcc: further recipients of a send, whom no header field names.

In: a request. Out: the same request with the copies among its recipients. A copy shows the To of the mail that it
copies: the given one, or the address of the single recipient, whose fields it is filled with too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import overload

from kannon.errors import InvalidArgument
from kannon.mail.address import parse_address
from kannon.mail.batch import Recipient
from kannon.mail.send_request import SendRequest

MAX_BCC = 100


def check_bcc(request: SendRequest) -> None:
    """Raises InvalidArgument."""
    if not request.bcc:
        return
    if len(request.bcc) > MAX_BCC:
        raise InvalidArgument("headers.bcc", f"{len(request.bcc)} addresses are more than the {MAX_BCC} allowed")
    for position, email in enumerate(request.bcc):
        try:
            parse_address(email.strip())
        except ValueError as error:
            raise InvalidArgument(f"headers.bcc[{position}]", str(error)) from None
    if not request.content.header_to and len(request.recipients) != 1:
        raise InvalidArgument("headers.bcc", "needs headers.to, or a single recipient")


def with_copies(request: SendRequest) -> SendRequest:
    """`check_bcc` has accepted it."""
    if not request.bcc:
        return request
    content = request.content
    original = request.recipients[0] if len(request.recipients) == 1 else Recipient("")
    if not content.header_to:
        email = original.email.strip()
        try:
            parse_address(email)
        except ValueError:
            return request  # the recipient is rejected later, so there is nothing to copy
        content = replace(content, header_to=(email,))
    # The copy shows the address of its original wherever the text does.
    fields = {"email": original.email.strip(), **original.fields} if original.email else original.fields
    copies = [Recipient(email, fields, original.tracking) for email in request.bcc]
    return replace(request, content=content, recipients=_Joined(request.recipients, copies), bcc=())


class _Joined(Sequence[Recipient]):
    """Two sequences as one, without a copy of the first, which may parse its items when they are asked for."""

    def __init__(self, first: Sequence[Recipient], second: Sequence[Recipient]) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __iter__(self) -> Iterator[Recipient]:
        yield from self._first
        yield from self._second

    @overload
    def __getitem__(self, index: int) -> Recipient: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Recipient]: ...
    def __getitem__(self, index: int | slice) -> Recipient | Sequence[Recipient]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        split = len(self._first)
        return self._first[index] if 0 <= index < split else self._second[index - split if index >= 0 else index]
