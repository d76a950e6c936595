"""Wrong usage in one line: what is wrong, at which option, and where the help is. Exit code 2.

In: the error of the parser. Out: `kannon send: missing option --from (see kannon send --help)` on standard error.
"""

import re
from typing import Any

import typer

UsageError: type[Exception] = next(
    base for base in typer.BadParameter.__mro__[1:] if base.__name__ == "UsageError"
)  # typer has its own copy of click
USAGE = 2


def describe_usage_error(error: Any, path: str) -> str:
    """`path` is the command as far as it was recognised; the error may know it better."""
    path = error.ctx.command_path if error.ctx is not None else path
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    return f"{path}: {_plain(error.format_message())} (see {path} --help)"


def _plain(message: str) -> str:
    """The parser's message in the tone of the others: `Missing option '--from'.` → `missing option --from`."""
    text = " ".join(message.split()).removesuffix(".")
    for pattern, replacement in _REWRITTEN:
        text = re.sub(pattern, replacement, text)
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


_REWRITTEN = (
    (r"^Invalid value for (.+?): ", r"\1: "),
    (r"^Invalid value: ", ""),
    (r"'(-{1,2}\w[\w-]*|\[?[A-Z][A-Z_.|]*\]?)'(?: / '(-\w)')?", r"\1"),  # quotes around options and arguments
    (r"Value error, ", ""),
    (r"Input should be a valid (?:integer|number)(?:, .*)?$", "not a number"),
    (r"Input should be greater than or equal to (\S+)$", r"must be \1 or more"),
    (r"Input should be less than or equal to (\S+)$", r"must be \1 or less"),
)
