"""Every end-to-end test runs twice: this source tree is started, and the single executable made of it."""

import pytest


@pytest.fixture(autouse=True, params=["source", "executable"])
def _started(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_EXECUTABLE", raising=False)
    if request.param == "executable":
        monkeypatch.setenv("TEST_EXECUTABLE", str(request.getfixturevalue("executable")))
