"""Opens and clicks that no person made: prefetching proxies and link scanners. They are marked, not dropped.

In: what a request says of itself, and which links of a copy were followed when. Out: whether to suspect a machine.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network

# Proxies that fetch images for readers or before them, scanners that follow links for a mail server, preview makers,
# programs. A product name at a time; documented by their vendors or seen in everyone's logs.
_AGENTS = re.compile(
    r"GoogleImageProxy|YahooMailProxy|YahooCacheSystem|BingPreview|Yandex\.?Image|"
    r"Barracuda|Mimecast|Proofpoint|URLDefense|Symantec|MessageLabs|TrendMicro|Trend Micro|Sophos|FireEye|ZScaler|"
    r"Cloudmark|SafeLinks|Microsoft Office (?:Existence|Protocol) Discovery|Forcepoint|Fortinet|Checkpoint|Bitdefender|"
    r"facebookexternalhit|Slackbot|Slack-ImgProxy|TelegramBot|WhatsApp|Twitterbot|LinkedInBot|Discordbot|SkypeUriPreview|"
    r"HeadlessChrome|PhantomJS|python-|aiohttp|httpx|curl/|Wget|Go-http-client|okhttp|Java/|libwww|axios|node-fetch|"
    r"(?<!cu)bot\b|crawler|spider|scanner|prefetch|preview",
    re.IGNORECASE,
)
_APPLE_PRIVACY = "Mozilla/5.0"  # Mail Privacy Protection sends exactly this and no more
_APPLE = ip_network("17.0.0.0/8")
_PURPOSES = (b"purpose", b"sec-purpose", b"x-purpose", b"x-moz")
_BURST = timedelta(seconds=2)
_MAX_COPIES = 10_000


def is_bot(user_agent: str, ip: str, headers: Mapping[bytes, bytes]) -> bool:
    """By what the request itself says. `headers` have lower-case names."""
    if _is_machine_agent(user_agent) or _is_machine_address(ip):
        return True
    return any(re.search(rb"prefetch|preview", headers[name]) for name in _PURPOSES if name in headers)


@lru_cache(maxsize=4096)
def _is_machine_agent(user_agent: str) -> bool:
    return not user_agent or user_agent == _APPLE_PRIVACY or _AGENTS.search(user_agent) is not None


@lru_cache(maxsize=4096)
def _is_machine_address(ip: str) -> bool:
    try:
        return ip_address(ip) in _APPLE
    except ValueError:
        return False


class ScanBursts:
    """Which links of which copies were followed in the last two seconds; bounded, the oldest forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], list[tuple[datetime, str]]] = OrderedDict()

    def looked(self, copy: tuple[str, str], now: datetime) -> None:
        """A HEAD: someone looks before following, as people's browsers do not."""
        self._note(copy, "", now)

    def followed(self, copy: tuple[str, str], url: str, now: datetime) -> bool:
        """A click; is it one of a burst, another link of the same copy having been followed just before?"""
        return any(other != url for other in self._note(copy, url, now))

    def _note(self, copy: tuple[str, str], url: str, now: datetime) -> list[str]:
        recent = [entry for entry in self._seen.pop(copy, []) if now - entry[0] <= _BURST][-50:]
        self._seen[copy] = [*recent, (now, url)]
        while len(self._seen) > _MAX_COPIES:
            self._seen.popitem(last=False)
        return [other for _, other in recent]
