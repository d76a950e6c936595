"""packaging/prometheus: the rules fire when they should and not else, and everything in it names metrics that exist."""

import json
import re
from pathlib import Path

import pytest

from kannon.metrics import names
from kannon.metrics.names import Spec
from tests.support.promtool import ROOT, promtool

FOLDER = ROOT / "packaging" / "prometheus"
RULES = FOLDER / "kannon.rules.yml"
NAMES = {spec.name for spec in vars(names).values() if isinstance(spec, Spec)}
METRIC = re.compile(r"\b((?:kannon|process)_\w+)(?=[\s{\[)])")


def dashboard_expressions() -> list[str]:
    """As Prometheus gets them, with values for the variables of the dashboard."""
    dashboard = json.loads((FOLDER / "kannon.dashboard.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    return [expression.replace("$job", "kannon").replace("$__rate_interval", "1m") for expression in found]


def metrics_in(text: str) -> set[str]:
    return set(METRIC.findall(text))


def test_the_rules_are_valid_and_fire_as_their_tests_say() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert f"{len(alerts)} rules found" in promtool("check", "rules", str(RULES))
    assert "SUCCESS" in promtool("test", "rules", str(FOLDER / "kannon.rules.test.yml"))


def test_each_alert_fires_in_a_case() -> None:
    cases = (FOLDER / "kannon.rules.test.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", cases), f"{alert} never fires in a test"


@pytest.mark.long
@pytest.mark.parametrize(
    ("rule", "worse"),
    [
        ("delta(max by (job) (kannon_parked_messages)", "increase(max by (job) (kannon_parked_messages)"),
        ('kannon_overdue_seconds{state="scheduled"}', "kannon_overdue_seconds"),
        ("  and sum by (job) (increase(kannon_verdicts_total[15m])) > 200\n", ""),
        ('complained"}[1d])) >= 3', 'complained"}[1d])) >= 0'),
        ('verdict="refused"', 'verdict=~"refused|deferred"'),
        ("INTERNAL|UNAVAILABLE|UNKNOWN", "INTERNAL|UNAVAILABLE|INVALID_ARGUMENT"),
        ("> 0.75", "> 0.5"),
        ("2 * kannon_disk_reserve_bytes", "3 * kannon_disk_reserve_bytes"),
        ("< 7 * 86400", "< 40 * 86400"),
        ("> 2 * 86400", "> 10000"),
        ("kannon_component_ready == 0\n        for: 2m", "kannon_component_ready == 0"),
    ],
)
def test_a_rule_that_fires_too_often_fails_its_tests(tmp_path: Path, rule: str, worse: str) -> None:
    text = RULES.read_text()
    assert rule in text
    (tmp_path / RULES.name).write_text(text.replace(rule, worse))
    tests = tmp_path / "kannon.rules.test.yml"
    tests.write_text((FOLDER / tests.name).read_text())
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", str(tests))


def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    rules = [{"record": f"panel{n}", "expr": expression} for n, expression in enumerate(dashboard_expressions())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_rules_and_dashboard_use_metrics_that_kannon_has() -> None:
    """tests/e2e/test_metrics.py holds them to a scrape of a running server."""
    used = metrics_in(RULES.read_text()) | set().union(*map(metrics_in, dashboard_expressions()))
    assert len(used) > 20
    known = NAMES | {f"{name}{suffix}" for name in NAMES for suffix in ("_total", "_count", "_sum", "_bucket")}
    assert {name for name in used if name.startswith("kannon_")} <= known


def test_the_documents_name_each_alert() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    documented = re.findall(r"^\| `(Kannon\w+)` \|", text, re.M)
    assert documented == re.findall(r"- alert: (\w+)", RULES.read_text())
