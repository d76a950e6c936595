"""Replaces the partials of a jinja template's texts by the domain's templates of those titles, as they are now.

In: the texts by their names, and a way to find templates. Out: the texts without includes and layouts. A send stores
what comes out, so that its mails do not change with a partial.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping

from kannon.errors import InvalidArgument
from kannon.mail.build.jinja_partials import MAX_LEVELS, expand, partials_in, uses_partials
from kannon.mail.build.jinja_syntax import TemplateFault

FindPartials = Callable[[Collection[str]], Awaitable[list[tuple[str, str]]]]
"""Titles → titles and HTML."""


async def expand_texts(texts: Mapping[str, str], find: FindPartials) -> dict[str, str]:
    """By the names of their fields. Raises InvalidArgument with the place of the fault."""
    if not any(map(uses_partials, texts.values())):
        return dict(texts)
    partials: dict[str, str] = {}
    expanded: dict[str, str] = {}
    for name, text in texts.items():
        try:
            wanted = partials_in(text)
            for _ in range(MAX_LEVELS):
                wanted -= partials.keys()
                if not wanted:
                    break
                found = await find(wanted)
                if len({title for title, _ in found}) < len(found):
                    raise InvalidArgument(name, f"several templates have one of the titles {', '.join(sorted(wanted))}")
                partials |= found
                wanted = set().union(*[_partials_in(html) for _, html in found])
            expanded[name] = expand(text, partials)
        except TemplateFault as fault:
            raise InvalidArgument(name, f"{fault.problem} (line {fault.line}, column {fault.column})") from None
    return expanded


def _partials_in(html: str) -> set[str]:
    try:
        return partials_in(html)
    except TemplateFault:  # `expand` says where
        return set()
