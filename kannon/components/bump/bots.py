"""Recognises opens and clicks by bots: prefetching proxies and link scanners. Their events are marked, not dropped.

In: a request's headers and address, and the recent clicks on the same mail. Out: whether a bot is suspected.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network

from cachetools import LRUCache

# Image proxies, link scanners of mail servers, makers of previews, HTTP libraries; one product name each, as documented
# by the vendor or common in access logs.
_AGENTS = re.compile(
    r"GoogleImageProxy|YahooMailProxy|YahooCacheSystem|BingPreview|Yandex\.?Image|"
    r"Barracuda|Mimecast|Proofpoint|URLDefense|Symantec|MessageLabs|TrendMicro|Trend Micro|Sophos|FireEye|ZScaler|"
    r"Cloudmark|SafeLinks|Microsoft Office (?:Existence|Protocol) Discovery|Forcepoint|Fortinet|Checkpoint|Bitdefender|"
    r"facebookexternalhit|Slackbot|Slack-ImgProxy|TelegramBot|WhatsApp|Twitterbot|LinkedInBot|Discordbot|SkypeUriPreview|"
    r"HeadlessChrome|PhantomJS|python-|aiohttp|httpx|curl/|Wget|Go-http-client|okhttp|Java/|libwww|axios|node-fetch|"
    r"(?<!cu)bot\b|crawler|spider|scanner|prefetch|preview",
    re.IGNORECASE,
)
_APPLE_PRIVACY = "Mozilla/5.0"  # the whole User-Agent of Mail Privacy Protection
_APPLE = ip_network("17.0.0.0/8")
_PURPOSES = (b"purpose", b"sec-purpose", b"x-purpose", b"x-moz")
_BURST = timedelta(seconds=2)
_MAX_MAILS = 10_000


def is_bot(user_agent: str, ip: str, headers: Mapping[bytes, bytes]) -> bool:
    """By the request alone. `headers` have lower-case names."""
    if _is_bot_agent(user_agent) or _is_bot_address(ip):
        return True
    return any(re.search(rb"prefetch|preview", headers[name]) for name in _PURPOSES if name in headers)


@lru_cache(maxsize=4096)
def _is_bot_agent(user_agent: str) -> bool:
    return not user_agent or user_agent == _APPLE_PRIVACY or _AGENTS.search(user_agent) is not None


@lru_cache(maxsize=4096)
def _is_bot_address(ip: str) -> bool:
    try:
        return ip_address(ip) in _APPLE
    except ValueError:
        return False


class ScanBursts:
    """The clicks of the last two seconds on each mail; of the most recent mails only."""

    def __init__(self) -> None:
        self._seen: LRUCache[tuple[str, str], list[tuple[datetime, str]]] = LRUCache(_MAX_MAILS)

    def record_head(self, mail: tuple[str, str], now: datetime) -> None:
        """A HEAD request before a click is typical of scanners; browsers send none."""
        self._record(mail, "", now)

    def is_burst(self, mail: tuple[str, str], url: str, now: datetime) -> bool:
        """Records a click. True when another link of the same mail was requested just before."""
        return any(other != url for other in self._record(mail, url, now))

    def _record(self, mail: tuple[str, str], url: str, now: datetime) -> list[str]:
        recent = [entry for entry in self._seen.get(mail, []) if now - entry[0] <= _BURST][-50:]
        self._seen[mail] = [*recent, (now, url)]
        return [other for _, other in recent]
