"""What a mail of a jinja template costs beside one of a plain template of the same size.

Run: python -m tests.bench.bench_jinja [pages]. CPU time of one core, the best of several rounds. A receipt with a table
of ten lines, two links and the pixel in identified mode, RSA-2048; pages of 100 mails as a build worker gets them, each
mail with values of its own. The plain template has the same table as text. The goal: at most 50 us more.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from kannon.components import build_worker
from kannon.components.build_worker import BuildJob, TemplateSource
from kannon.mail.batch import Batch, Delivery, Engine
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.tracking import IDENTIFIED
from tests.bench.bench_build import PARAGRAPH, best
from tests.support.mail import NOW, batch, delivery, settings

PAGE = 100
ROW = '<tr><td style="padding:4px 8px">{}</td><td align="right">{}</td><td align="right">{}</td></tr>\n'
LINES = (
    "{% for line in lines %}"
    + ROW.format("{{ line.name }}", "{{ line.quantity }}", "{{ line.price }}")
    + "{% endfor %}"
)
HTML = (
    "<!doctype html><html><body><h1>Thank you, {{ name }}</h1>\n"
    '<table>%s</table>\n<p><a href="https://www.example.com/orders/{{ id }}">See your order</a></p>\n'
    + PARAGRAPH * 20
    + '<p><a href="https://www.example.com/imprint">Imprint</a></p></body></html>'
)
SUBJECT = "Your order {{ id }}"


def receipt(chance: random.Random) -> dict[str, Any]:
    lines = [
        {
            "name": f"Product {chance.randrange(10**6)}",
            "quantity": chance.randrange(1, 10),
            "price": f"{chance.randrange(10**5) / 100:.2f} EUR",
        }
        for _ in range(10)
    ]
    return {"name": f"Zoë Müller {chance.randrange(1000)}", "id": f"A{chance.randrange(10**6)}", "lines": lines}


def of_engine(html: str, engine: Engine) -> Batch:
    plain = batch(html, subject=SUBJECT)
    return replace(plain, content=replace(plain.content, engine=engine))


def page(of: Batch, fields: Sequence[dict[str, Any]]) -> Callable[[], object]:
    """Builds a page of mails."""
    deliveries: list[Delivery] = [
        delivery(fields=each, policy=IDENTIFIED, delivery_id=i) for i, each in enumerate(fields, 1)
    ]
    job = BuildJob(f"{of.content.engine} {of.content.html}", {}, deliveries)
    sources = {job.template: TemplateSource(of.domain, of.content, settings())}
    mails = build_worker.build([job], sources, NOW)
    assert isinstance(mails, list)
    assert not [mail for mail in mails if isinstance(mail, str)]
    return lambda: build_worker.build([job], {}, NOW)


def main(pages: int) -> None:
    chance = random.Random(1)
    values = [receipt(chance) for _ in range(PAGE)]
    rows = "".join([ROW.format(*line.values()) for line in values[0]["lines"]])
    texts = [{key: value for key, value in each.items() if isinstance(value, str)} for each in values]
    cases = {
        "plain": page(of_engine(HTML % rows, Engine.PLAIN), texts),
        "jinja": page(of_engine(HTML % LINES, Engine.JINJA), values),
        "jinja, price|money": page(
            of_engine(HTML % LINES.replace("line.price", "4.5|money('EUR')"), Engine.JINJA), values
        ),
        "jinja, parsed in each mail": page(
            of_engine((HTML % LINES).replace("<h1>", "<h1 {% if id %}class='b'{% endif %}>"), Engine.JINJA), values
        ),
    }
    costs = dict.fromkeys(cases, float("inf"))
    for _ in range(pages):  # in turn: other programs run on this machine too
        for name, build in cases.items():
            start = time.process_time()
            build()
            costs[name] = min(costs[name], (time.process_time() - start) / PAGE * 1e6)
    for name, cost in costs.items():
        print(f"{name:30} {cost:8.1f} us a mail, {cost - costs['plain']:6.1f} more than plain")
    template = JinjaTemplate(html=HTML % LINES, text="", subject=SUBJECT)
    accept = best(lambda: [template.render(each) for each in values], 5) / PAGE
    print(f"{'check of values at acceptance':30} {accept:8.1f} us a recipient")
    compiling = best(lambda: JinjaTemplate(html=HTML % LINES, text="", subject=SUBJECT), 5)
    print(f"{'compiling at acceptance':30} {compiling:8.1f} us a send")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
