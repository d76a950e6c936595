"""The URLs of one delivery that lead to bump: of its pixel, its links, and its unsubscribe link.

In: the delivery and its tracking policy. Out: URLs `<base>/o/<token>` and `<base>/c/<token>`. The mode decides whom a
token identifies: the recipient (identified, full), a pseudonym that all URLs of the delivery share, or no one
(anonymous): then all recipients of the batch have the same URL. The unsubscribe link `<base>/u/<token>` identifies the
recipient in any case: it is a request of theirs.
"""

from datetime import datetime, timedelta
from functools import lru_cache

from kannon.mail.batch import Delivery
from kannon.mail.message_id import anonymous_address, issued_at, make_pseudonym, tracking_address
from kannon.mail.token import UNSUBSCRIBE_TTL, TokenSigner
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode

_MAX_ANONYMOUS = 10_000  # tokens kept; those of a batch differ only if a link contains placeholders


@lru_cache(maxsize=_MAX_ANONYMOUS)
def _sign_anonymous(signer: TokenSigner, claims: Claims) -> str:
    return signer.sign(claims)


class BatchTracking:
    """Shared by all deliveries of a template: key, base URL and lifetime."""

    def __init__(self, signer: TokenSigner, base_url: str, domain: str, lifetime: timedelta) -> None:
        self.base_url = base_url
        self.domain = domain
        self.lifetime = lifetime
        self._signer = signer

    def sign(self, claims: Claims) -> str:
        if claims.mode is TrackingMode.ANONYMOUS:
            return _sign_anonymous(self._signer, claims)
        return self._signer.sign(claims)


class TrackingUrls:
    """Each URL is made once per mail."""

    def __init__(self, batch: BatchTracking, delivery: Delivery, now: datetime) -> None:
        self._batch = batch
        self._delivery = delivery
        issued = issued_at(delivery.due_at, now, batch.lifetime)
        self._issued = int(issued.timestamp())
        self._expires = int((issued + batch.lifetime).timestamp())
        self._made: dict[tuple[Channel, str], str] = {}

    def pixel_url(self) -> str | None:
        """None where opens are not tracked."""
        return self._url(Channel.OPEN, self._delivery.recipient.tracking.opens)

    def link_url(self, target: str) -> str | None:
        """None where links are not tracked."""
        return self._url(Channel.CLICK, self._delivery.recipient.tracking.links, target)

    def unsubscribe_url(self) -> str:
        email, lifetime = self._delivery.recipient.email, max(self._batch.lifetime, UNSUBSCRIBE_TTL)
        token = self._batch.sign(
            Claims(
                channel=Channel.UNSUBSCRIBE,
                mode=TrackingMode.IDENTIFIED,
                domain=self._batch.domain,
                message_id=self._delivery.message_id,
                email=email,
                issued=self._issued,
                expires=self._issued + int(lifetime.total_seconds()),
                delivery_id=self._delivery.id,
            )
        )
        return f"{self._batch.base_url}/{Channel.UNSUBSCRIBE}/{token}"

    def _url(self, channel: Channel, mode: TrackingMode, target: str = "") -> str | None:
        if mode in (TrackingMode.OFF, TrackingMode.UNSPECIFIED):
            return None
        if (channel, target) not in self._made:
            token = self._batch.sign(self._claims(channel, mode, target))
            self._made[channel, target] = f"{self._batch.base_url}/{channel}/{token}"
        return self._made[channel, target]

    def _claims(self, channel: Channel, mode: TrackingMode, target: str) -> Claims:
        domain = self._batch.domain
        email, delivery_id = self._delivery.recipient.email, self._delivery.id
        if mode is TrackingMode.ANONYMOUS:
            email, delivery_id = anonymous_address(domain), 0
        elif mode is TrackingMode.PSEUDONYMOUS:
            # The delivery's id would identify the recipient through its other events.
            email, delivery_id = tracking_address(make_pseudonym(self._delivery.secret), domain), 0
        return Claims(
            channel=channel,
            mode=mode,
            domain=domain,
            message_id=self._delivery.message_id,
            email=email,
            issued=self._issued,
            expires=self._expires,
            delivery_id=delivery_id,
            url=target,
        )
