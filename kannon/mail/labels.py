"""The labels of a send: a tag, by which events are counted, and metadata, which every event repeats.

In: the caller's values. Out: nothing, or InvalidArgument that names the field.
"""

import re
from collections.abc import Mapping

from kannon.errors import InvalidArgument

MAX_TAG = 64
MAX_PAIRS = 20
MAX_KEY = 64
MAX_VALUE = 256
"""Characters. All metadata of a batch stay below 7 kB, which each of its events repeats."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_tag(tag: str) -> None:
    if len(tag) > MAX_TAG:
        raise InvalidArgument("tag", f"is longer than {MAX_TAG} characters")
    if _CONTROL.search(tag):
        raise InvalidArgument("tag", "must not contain control characters")
    if tag != tag.strip():
        raise InvalidArgument("tag", "begins or ends with white space")


def check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > MAX_PAIRS:
        raise InvalidArgument("metadata", f"has {len(metadata)} pairs, more than the {MAX_PAIRS} allowed")
    for key, value in metadata.items():
        if not key.strip():
            raise InvalidArgument("metadata", "a key is empty")
        if len(key) > MAX_KEY:
            raise InvalidArgument("metadata", f"a key is longer than {MAX_KEY} characters")
        if _CONTROL.search(key):
            raise InvalidArgument("metadata", "a key contains control characters")
        if len(value) > MAX_VALUE:
            raise InvalidArgument(f"metadata[{key}]", f"is longer than {MAX_VALUE} characters")
        if "\x00" in value:
            raise InvalidArgument(f"metadata[{key}]", "must not contain a NUL")
