"""/suppressions: the addresses that a domain does not send to, and why; add, remove, import, export."""

from collections.abc import AsyncIterator, Iterator

from grpclib.const import Status
from starlette.responses import Response, StreamingResponse

from kannon.components.api.pages.forms import Form
from kannon.components.api.pages.place import PAGE, Place
from kannon.components.api.rpc import Refusal
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainsReq
from kannon.pb.admin.v1 import suppressions_pb2 as pb

CAUSES = ("bounced", "complained", "unsubscribed", "manual")
MAX_IMPORT = 100_000
_CALL = 10_000
_EXPORT_PAGE = 1000


async def show(place: Place) -> Response:
    domains = [each.domain for each in (await place.call("Api.GetDomains", GetDomainsReq())).domains]
    domain = place.query("domain") or (domains[0] if domains else "")
    cause, email, after = place.query("cause"), place.query("email"), place.query("after")
    entries: list[pb.Suppression] = []
    total, more = 0, False
    if domain and email:
        entries = await _one(place, domain, email)
        total = len(entries)
    elif domain:
        request = pb.ListSuppressionsRequest(domain=domain, cause=cause, after=after, take=PAGE + 1)
        found = await place.call("Suppressions.ListSuppressions", request)
        entries, total, more = list(found.suppressions)[:PAGE], found.total, len(found.suppressions) > PAGE
    return place.show(
        "suppressions.html",
        domains=domains,
        domain=domain,
        cause=cause,
        causes=CAUSES,
        email=email,
        entries=entries,
        total=total,
        after=after,
        last=entries[-1].email if more else "",
    )


async def _one(place: Place, domain: str, email: str) -> list[pb.Suppression]:
    try:
        request = pb.GetSuppressionRequest(domain=domain, email=email)
        return [(await place.call("Suppressions.GetSuppression", request)).suppression]
    except Refusal as refused:
        if refused.status is Status.NOT_FOUND:
            return []
        raise


async def add(place: Place, form: Form) -> Response:
    """An address, or the lines of a text or file: the address is what stands before the first comma."""
    domain, note = form.text("domain"), form.text("note")
    emails = list(_addresses("\n".join([form.text("email"), form.text("list"), form.text("file")])))
    if not emails:
        raise Refusal(Status.INVALID_ARGUMENT, "email: must not be empty")
    if len(emails) > MAX_IMPORT:
        raise Refusal(Status.RESOURCE_EXHAUSTED, f"{len(emails)} addresses; the limit of one import is {MAX_IMPORT}")
    for start in range(0, len(emails), _CALL):
        entries = [pb.Suppression(email=email, note=note) for email in emails[start : start + _CALL]]
        await place.call("Suppressions.AddSuppressions", pb.AddSuppressionsRequest(domain=domain, suppressions=entries))
    return place.go("/suppressions", domain=domain, done="added")


def _addresses(text: str) -> Iterator[str]:
    for line in text.splitlines():
        address = line.partition(",")[0].strip().strip('"')
        if address and address.lower() not in ("email", "address"):
            yield address


async def remove(place: Place, form: Form) -> Response:
    domain = form.text("domain")
    request = pb.RemoveSuppressionsRequest(domain=domain, emails=form.all("email"))
    await place.call("Suppressions.RemoveSuppressions", request)
    return place.go("/suppressions", domain=domain, done="removed")


async def export(place: Place) -> Response:
    """All entries, as CSV. A value that a spreadsheet would run begins with an apostrophe."""
    domain = place.query("domain")
    first = await _page(place, domain, "")

    async def lines() -> AsyncIterator[str]:
        yield "email,cause,since,expires_at,note\r\n"
        page = first
        while page:
            yield "".join(_line(each) for each in page)
            page = await _page(place, domain, page[-1].email) if len(page) == _EXPORT_PAGE else []

    name = "".join(c if c.isalnum() or c in ".-" else "_" for c in domain)
    return StreamingResponse(
        lines(),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="suppressions-{name}.csv"'},
    )


async def _page(place: Place, domain: str, after: str) -> list[pb.Suppression]:
    request = pb.ListSuppressionsRequest(domain=domain, after=after, take=_EXPORT_PAGE)
    return list((await place.call("Suppressions.ListSuppressions", request)).suppressions)


def _line(entry: pb.Suppression) -> str:
    expires = entry.expires_at.ToJsonString() if entry.HasField("expires_at") else ""
    values = (entry.email, entry.cause, entry.since.ToJsonString(), expires, entry.note)
    return ",".join(_quoted(value) for value in values) + "\r\n"


def _quoted(value: str) -> str:
    """RFC 4180 §2."""
    value = f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t") else value
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in '",\r\n') else value


PAGES = {"/suppressions": show, "/suppressions/export": export}
ACTIONS = {"/suppressions/add": add, "/suppressions/remove": remove}
