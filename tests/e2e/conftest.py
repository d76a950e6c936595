"""End-to-end tests start this source tree; tests marked `as_built` also start the single executable.

These test the differences of the executable: how it starts, finds its servers, and stops. `make test-all` runs every
test with both.
"""

from pathlib import Path

import pytest

from tests.support.effort import LONG
from tests.support.made_data import make_data


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    built = LONG or metafunc.definition.get_closest_marker("as_built") is not None
    metafunc.parametrize("_started", ["source", "executable"] if built else ["source"], indirect=True)


@pytest.fixture(autouse=True)
def _started(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, run_folder: Path) -> None:
    monkeypatch.delenv("TEST_EXECUTABLE", raising=False)
    if request.param == "executable":
        monkeypatch.setenv("TEST_EXECUTABLE", str(request.getfixturevalue("executable")))
    monkeypatch.setenv("TEST_MADE_DATA", str(make_data(run_folder)))
