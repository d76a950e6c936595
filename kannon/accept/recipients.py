"""Chooses the recipients of a send: accepted ones as rows, rejected ones with their reasons.

In: a request that kannon.mail.send_check accepts. Out: rows and rejections, both in the order of the request. Yields to
the event loop every few hundred recipients. Each recipient is converted to its row at once: a row takes a third of the
memory.
"""

from anyio.lowlevel import checkpoint

from kannon.accept.store import Store
from kannon.db.batches import DeliveryRow, delivery_row
from kannon.mail.address import check_recipient
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.send_check import RecipientChecker
from kannon.mail.send_request import RejectedRecipient, RejectReason, SendRequest, Tenant
from kannon.mail.simulator import simulated_name
from kannon.mail.suppression import address_key

_PER_YIELD = 250  # 1 to 3 ms of checking

Rejections = dict[int, RejectedRecipient]
"""By position in the request."""


async def check_recipients(
    request: SendRequest, tenant: Tenant, jinja: JinjaTemplate | None
) -> tuple[list[DeliveryRow], Rejections]:
    """All reasons but suppression."""
    checker = RecipientChecker(request, tenant, jinja)
    rows: list[DeliveryRow] = []
    rejections: Rejections = {}
    for position, recipient in enumerate(request.recipients):
        checked = checker.check(recipient)
        if isinstance(checked, RejectReason):
            rejections[position] = RejectedRecipient(recipient.email, checked)
        elif isinstance(checked, RejectedRecipient):
            rejections[position] = checked
        else:
            rows.append(delivery_row(checked))
        if jinja is not None or position % _PER_YIELD == _PER_YIELD - 1:  # a template may take milliseconds
            await checkpoint()
    return rows, rejections


async def leave_out_malformed(
    request: SendRequest, rows: list[DeliveryRow], rejections: Rejections
) -> list[DeliveryRow]:
    """The rows without addresses that the validator rejects later, which are added to `rejections`."""
    kept: list[DeliveryRow] = []
    positions = [position for position in range(len(request.recipients)) if position not in rejections]
    for number, (position, row) in enumerate(zip(positions, rows, strict=True), 1):
        if check_recipient(row.email) is None:
            kept.append(row)
        else:
            rejections[position] = RejectedRecipient(request.recipients[position].email, RejectReason.INVALID_EMAIL)
        if number % _PER_YIELD == 0:
            await checkpoint()
    return kept


async def leave_out_suppressed(
    store: Store, request: SendRequest, domain: str, rows: list[DeliveryRow], rejections: Rejections
) -> list[DeliveryRow]:
    """The rows without suppressed addresses, which are added to `rejections`. One query, however many rows.
    The simulator's addresses stay, whatever their entries."""
    keys: list[str] = []
    for row in rows:
        keys.append(address_key(row.email))
        if len(keys) % _PER_YIELD == 0:
            await checkpoint()
    found = await store.suppressed(domain, request.tag, set(keys))
    suppressed = {key for key in found if not simulated_name(key)}
    if not suppressed:
        return rows
    kept: list[DeliveryRow] = []
    positions = [position for position in range(len(request.recipients)) if position not in rejections]
    for number, (position, row, key) in enumerate(zip(positions, rows, keys, strict=True), 1):
        if key in suppressed:
            email = request.recipients[position].email
            rejections[position] = RejectedRecipient(email, RejectReason.SUPPRESSED)
        else:
            kept.append(row)
        if number % _PER_YIELD == 0:
            await checkpoint()
    return kept
