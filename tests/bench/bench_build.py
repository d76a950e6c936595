"""The cost of building one mail, step by step, beside the RSA signature alone.

Run: python -m tests.bench.bench_build [mails]. CPU time of one core, the best of several rounds. The mail is the
ordinary one of the performance goal: 5 kB of HTML, three fields, pixel and two links in identified mode, RSA-2048.
"""

import sys
import time
from collections.abc import Callable
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kannon.mail.batch import Attachment, Batch
from kannon.mail.bounce.address import make_bounce_address
from kannon.mail.build.dkim import PADDING, SHA256
from kannon.mail.build.placeholders import fields_for
from kannon.mail.build.render import RenderContext
from kannon.mail.build.template import compile_batch
from kannon.mail.build.tracking_urls import TrackingUrls
from kannon.mail.tracking import IDENTIFIED, OFF
from tests.support.mail import BOUNCE_SECRET, DOMAIN, NOW, batch, delivery, dkim_pair, settings

ROUNDS = 5
FIELDS = {"name": "Zoë Müller", "city": "Köln", "code": "A1B2-C3D4"}
PARAGRAPH = (
    '<p style="margin:0;font-family:Arial,sans-serif">Lorem ipsum dolor sit amet, consetetur sadipscing elitr</p>\n'
)
HTML = (
    "<!doctype html><html><body><h1>Hello {{ name }}</h1>\n"
    '<p>Offers in {{ city }}: <a href="https://www.example.com/offers?code={{ code }}&amp;from=mail">see them</a></p>\n'
    + PARAGRAPH * 43
    + '<p><a href="https://www.example.com/imprint">Imprint</a></p></body></html>'
)


def best(action: Callable[[], object], times: int) -> float:
    """Microseconds of CPU time per call."""
    found = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            action()
        found = min(found, (time.process_time() - start) / times * 1e6)
    return found


def page(attachments: tuple[Attachment, ...] = ()) -> Batch:
    unsubscribe = "https://www.example.com/unsubscribe?e={{email}}"
    return batch(HTML, subject="Offers for {{ name }}", alias="Shop", unsubscribe=unsubscribe, attachments=attachments)


def main(mails: int) -> None:
    compiled = compile_batch(page(), settings())
    template = compiled.template
    to, untracked = delivery(fields=FIELDS, policy=IDENTIFIED), delivery(fields=FIELDS, policy=OFF)
    fields = fields_for(to.recipient.email, {}, to.recipient.fields)
    key = load_pem_private_key(dkim_pair().private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signing = best(lambda: key.sign(b"x" * 900, PADDING, SHA256), mails)
    total = best(lambda: compiled.fill(to, NOW), mails)

    def body(of: TrackingUrls) -> object:
        return template._body.fill(RenderContext(fields, of))

    tracked_body = best(lambda: body(TrackingUrls(template._tracking, to, NOW)), mails)
    plain_body = best(lambda: body(TrackingUrls(template._tracking, untracked, NOW)), mails)
    headers = best(
        lambda: template._fill_headers(
            to.recipient.email, "Offers", fields, TrackingUrls(template._tracking, to, NOW), to, NOW
        ),
        mails,
    )
    bounce = best(lambda: make_bounce_address(7, DOMAIN, BOUNCE_SECRET, NOW + timedelta(days=31)), mails)
    steps = {
        "RSA-2048 signature": signing,
        "three tokens (Ed25519)": tracked_body - plain_body,
        "body: values, quoted-printable, hash": plain_body,
        "headers": headers,
        "bounce address": bounce,
        "DKIM header, join, the rest": total - signing - tracked_body - headers - bounce,
    }
    print(f"HTML {len(HTML)} bytes, mail {len(compiled.fill(to, NOW).body)} bytes")
    for name, cost in steps.items():
        print(f"{name:40} {cost:8.1f} us {cost / total:6.1%}")
    print(f"{'one mail':40} {total:8.1f} us, {total / signing:.2f} x RSA alone, {total - signing:.0f} us beside it")
    print(f"{'compiling the batch':40} {best(lambda: compile_batch(page(), settings()), 20):8.1f} us")
    large = compile_batch(page((Attachment("a.pdf", bytes(1 << 20)),)), settings())
    print(f"{'one mail with 1 MiB attached':40} {best(lambda: large.fill(to, NOW), 20):8.1f} us")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
