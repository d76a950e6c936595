"""Label values from names without bound: the busiest names keep theirs, all others share `other`."""

from cachetools import LRUCache

OTHER = "other"


class TopLabels:
    """A name gets a label once it was seen more than `often` times, until `most` names have one. The first `at_once`
    names get theirs when they are first seen.

    A name keeps its label, because a counter must not go backwards. Of the names without one, `remembered` are counted;
    the one seen longest ago is forgotten first.
    """

    def __init__(self, *, often: int = 100, at_once: int = 0, most: int = 50, remembered: int = 10_000) -> None:
        self._often = often
        self._at_once = at_once
        self._most = most
        self._chosen: set[str] = set()
        self._seen: LRUCache[str, int] = LRUCache(remembered)

    def label(self, name: str, times: int = 1) -> str:
        """`times`: how often it was seen now."""
        if name in self._chosen:
            return name
        if len(self._chosen) < self._most:
            count = self._seen.pop(name, 0) + times
            if count > self._often or len(self._chosen) < self._at_once:
                self._chosen.add(name)
                return name
            self._seen[name] = count
        return OTHER
