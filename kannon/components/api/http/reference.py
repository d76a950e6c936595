"""The reference of the API as a page.

In: the OpenAPI document. Out: one HTML page: each service with its methods, each message with its fields. No script,
and nothing from elsewhere.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 3rem; border-bottom: 1px solid #ccc } h3 { margin-bottom: 0 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f4 } code { padding: 0 .2em }
pre { padding: .7rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid #eee }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } code, pre { background: #2a2a2a }
  a { color: #8ab4f8 } td, th { border-color: #333 } }
"""
_CREDENTIALS = {
    "apiKey": '-u "example.com:$KANNON_KEY"',
    "adminToken": '-H "x-kannon-admin-token: $KANNON_TOKEN"',
}


def reference(document: Mapping[str, Any]) -> str:
    return "".join(_page(document))


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    title = escape(document["info"]["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} API</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title} API</h1>'
    yield f'<p>{escape(document["info"]["description"])} <a href="/openapi.json">OpenAPI</a></p><ul>'
    for tag in document["tags"]:
        yield f'<li><a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>'
    yield "</ul>"
    for tag in document["tags"]:
        yield f'<h2 id="{escape(tag["name"])}">{escape(tag["name"])}</h2><p>{escape(tag["description"])}</p>'
        for path, operations in document["paths"].items():
            if tag["name"] in operations.get("post", {}).get("tags", ()):
                yield from _method(path, operations["post"])
    yield "<h2>Messages</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _message(name, schema)


def _method(path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    name = operation["summary"]
    asked, answered = (
        _link(content["content"]["application/json"]["schema"]["$ref"])
        for content in (operation["requestBody"], operation["responses"]["200"])
    )
    credentials = _CREDENTIALS.get(next(iter(operation["security"][0]), ""), "")
    call = f"curl {credentials} -H 'content-type: application/json' -d '{{}}' \\\n  http://127.0.0.1:50051{path}"
    yield f'<h3 id="{escape(operation["operationId"])}">{escape(name)}</h3>'
    yield f"<p>{escape(operation['description'])} {asked} → {answered}</p><pre>{escape(call)}</pre>"


def _message(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="message-{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
    if "enum" in schema:
        yield "<p>" + ", ".join(f"<code>{escape(value)}</code>" for value in schema["enum"]) + "</p>"
    elif schema["properties"]:
        yield "<table><tr><th>field<th>type<th>"
        for field, kind in schema["properties"].items():
            yield f"<tr><td><code>{escape(field)}</code><td>{_type(kind)}<td>{escape(kind.get('description', ''))}"
        yield "</table>"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"])
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    known = schema.get("format") or schema.get("contentEncoding")
    kind = schema["type"] if isinstance(schema["type"], str) else " or ".join(schema["type"])
    return escape(f"{kind} ({known})" if known else kind)


def _link(ref: str) -> str:
    name = ref.removeprefix("#/components/schemas/")
    return f'<a href="#message-{escape(name)}">{escape(name)}</a>'
