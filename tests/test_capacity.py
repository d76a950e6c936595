"""The model of tools/capacity.py, and what docs/scaling.md says that it gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.capacity import Costs, Servers, check, cluster, first_end, one_machine

ROOT = Path(__file__).parent.parent
COSTS = Costs(process=0.5, worker=1.0, postgres=0.25, nats=0.25, wal_bytes=4000, wal_syncs=0.1)


def test_one_process_ends_at_the_slower_of_itself_and_its_worker() -> None:
    assert first_end(one_machine(COSTS, cores=8, processes=1)) == ("build workers", 1000)
    assert first_end(one_machine(COSTS, cores=8, processes=1, workers=4)) == ("processes", 2000)
    assert first_end(one_machine(COSTS, cores=2, processes=7)) == ("cores", 1000)


def test_a_cluster_ends_at_what_its_machines_share() -> None:
    few = first_end(cluster(COSTS, 1, 8, Servers()))
    many = first_end(cluster(COSTS, 32, 8, Servers()))
    assert [few[0], round(few[1])] == ["machines", 5333]
    assert [many[0], round(many[1])] == ["NATS: processor", 16_000]
    assert first_end(cluster(COSTS, 32, 8, Servers(nats_streams=4)))[0] == "PostgreSQL: WAL syncs"
    assert first_end(cluster(COSTS, 32, 8, Servers(nats_streams=4, databases=2)))[0] == "NATS: processor"


@pytest.mark.parametrize(("measured", "close"), [(500, True), (430, True), (420, False), (600, False)])
def test_runs_are_compared_with_the_costs_of_the_first_and_what_others_left_of_the_machine(
    measured: float, close: bool
) -> None:
    first = {
        "cores": 4,
        "cores_of_others": 1.0,
        "processes": 1,
        "mails_per_second": 1000,
        "cpu_ms_per_mail": {"kannon": 0.5, "workers": 1.0, "postgres": 0.25, "nats": 0.25},
        "postgres_per_mail": {"wal_bytes": 1.0, "wal_syncs": 1.0},
    }
    second = {**first, "cores": 2, "processes": 2, "mails_per_second": measured, "cpu_ms_per_mail": {}}
    assert check([first, second]) is close


@pytest.mark.parametrize("arguments", [["tests/bench/reference.json"], ["--check", "tests/bench/reference_runs.json"]])
def test_the_document_shows_what_the_program_prints(arguments: list[str]) -> None:
    """Also that the check holds."""
    printed = subprocess.run(
        [sys.executable, "tools/capacity.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed in (ROOT / "docs/scaling.md").read_text()


def test_a_file_without_a_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("mails per second 500\n")
    done = subprocess.run(
        [sys.executable, "tools/capacity.py", tmp_path / "empty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "capacity.py: error: no line of JSON in these files",
    )


def test_the_reference_is_a_whole_run() -> None:
    run = json.loads((ROOT / "tests/bench/reference.json").read_text())
    assert (run["workload"], run["processes"], run["lost"]) == ("batch", 1, False)
