"""Forms: what a browser posts, bounded, and the token that ties it to a page of the same session.

In: the body of a POST. Out: its fields by name, or a Refusal.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from grpclib.const import Status
from starlette.requests import Request

from kannon.components.api.pages.session import Session
from kannon.components.api.rpc import Refusal

TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
MAX_FIELDS = 200
MAX_BYTES = 1 << 20
MAX_UPLOAD_BYTES = 4 << 20
_MULTIPART = "multipart/form-data"


class Form(Mapping[str, str]):
    """The last value of each name. `all` has every one."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._values = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str:
        """Without the spaces around it; empty where there is none."""
        return self._values.get(name, "").strip()

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name and value.strip()]

    def number(self, name: str, default: int = 0) -> int:
        """Raises Refusal."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise Refusal(Status.INVALID_ARGUMENT, f'{name}: "{text[:40]}" is not a number')
        return int(text)


async def read_form(request: Request, session: Session | None, *, most: int = MAX_BYTES) -> Form:
    """Of a session it must carry the token. Raises Refusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _MULTIPART:
        form = await _read_multipart(request) if session is not None else Form([])
    else:
        form = await _read_urlencoded(request, most)
    if session is not None and not session.owns(form.get(TOKEN_FIELD, "")):
        raise Refusal(Status.PERMISSION_DENIED, "this form is not of this session: load its page again")
    return form


async def _read_urlencoded(request: Request, most: int) -> Form:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refusal(Status.RESOURCE_EXHAUSTED, f"the form has more than {most} bytes")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise Refusal(Status.INVALID_ARGUMENT, "this is no form of a page") from None
    return Form(pairs)


async def _read_multipart(request: Request) -> Form:
    """A file becomes its text."""
    from starlette.datastructures import UploadFile
    from starlette.exceptions import HTTPException

    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_UPLOAD_BYTES:
        raise Refusal(Status.RESOURCE_EXHAUSTED, f"the upload has more than {MAX_UPLOAD_BYTES >> 20} MiB")
    pairs = []
    try:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    pairs.append((name, (await value.read()).decode("utf-8-sig")))
                else:
                    pairs.append((name, value))
    except (HTTPException, UnicodeDecodeError):
        raise Refusal(Status.INVALID_ARGUMENT, "the upload cannot be read: it must be text in UTF-8") from None
    return Form(pairs)
