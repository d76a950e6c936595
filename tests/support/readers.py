"""Paths of the tracking URLs in a real mail."""

import re

from kannon.mail.tracking import TrackingMode, TrackingPolicy
from tests.support.mail import DOMAIN, batch, build, delivery, texts

_URL = re.compile(rf'https://stats\.{re.escape(DOMAIN)}(/[oc]/[^"]+)"')


def paths(
    *targets: str, mode: TrackingMode = TrackingMode.IDENTIFIED, address: str = "anna@reader.example"
) -> list[str]:
    """One click path per target, then the pixel's."""
    html = "".join(f'<a href="{target}">x</a>' for target in targets)
    body = build(batch(html), delivery(address, policy=TrackingPolicy(mode, mode))).body
    return _URL.findall(texts(body)[1])


def click_path(target: str = "https://x.example/a?b=1", mode: TrackingMode = TrackingMode.IDENTIFIED) -> str:
    return paths(target, mode=mode)[0]


def open_path(mode: TrackingMode = TrackingMode.IDENTIFIED) -> str:
    return paths(mode=mode)[-1]
