"""RFC 5321 §4.2.5: after the 250 to the final dot the mail is the peer's. Whatever it does then, at once, at RSET or at
QUIT, with or without PIPELINING: every mail has been delivered exactly once."""

from dataclasses import dataclass, field

import pytest

from kannon.mail.verdict import Delivered, Stage
from tests.support import smtp_peer
from tests.support.delivering import deliver_patiently, delivering_to
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Behaviour, Peer, Visit

MAILS = 4
SHORT = dict.fromkeys(set(Stage) - {Stage.CONNECT}, 1.0)  # for who says nothing more
DEEDS: dict[str, Behaviour] = {
    "closes": smtp_peer.close,
    "resets": smtp_peer.reset,
    "4xx": "451 4.3.0 changed my mind",
    "5xx": "554 5.3.0 changed my mind",
    "421": smtp_peer.closing("421 4.3.2 closing down"),
    "nothing": smtp_peer.hang,
    "garbage": smtp_peer.garbage,
    "endless line": smtp_peer.endless,
}


@dataclass
class Fickle(Peer):
    """Takes every mail, and then does its deed at this moment."""

    moment: str = "at once"
    deed: Behaviour = field(default=smtp_peer.close)

    async def _answer(self, visit: Visit, command: str) -> None:
        if command == self.moment:
            await self._do(visit)
        else:
            await super()._answer(visit, command)

    async def _data(self, visit: Visit) -> None:
        await super()._data(visit)
        if self.moment == "at once":
            await self._do(visit)

    async def _do(self, visit: Visit) -> None:
        reply = await self.deed(visit) if callable(self.deed) else self.deed
        assert reply is not None
        await visit.say(reply)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
@pytest.mark.parametrize("moment", ["at once", "RSET", "QUIT"])
@pytest.mark.parametrize("extensions", [smtp_peer.PLAIN, ("8BITMIME",)], ids=["pipelined", "in turns"])
async def test_delivered_exactly_once(deed: Behaviour, moment: str, extensions: tuple[str, ...]) -> None:
    fickle, second = Fickle(moment=moment, deed=deed, extensions=extensions), Peer()
    bodies = [BODY + b"%d\r\n" % number for number in range(MAILS)]
    async with delivering_to(fickle, second, short=SHORT) as deliverer:
        for body in bodies:
            verdict = await deliver_patiently(deliverer, an_envelope(body=body))
            assert isinstance(verdict, Delivered), verdict
            assert verdict.reply.code == 250
    taken = sorted(fickle.mails + second.mails)
    assert taken == [body + b".\r\n" for body in bodies]
    assert fickle.mails
    assert fickle.used[Stage.DOT] == len(fickle.mails)
    await eventually(lambda: fickle.open == 0)
