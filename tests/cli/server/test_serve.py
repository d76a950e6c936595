"""The limits that `kannon serve` sets before it starts."""

import resource

from kannon.cli.server.serve import OPEN_FILES, _allow_open_files


def test_serve_raises_the_limit_of_open_files_above_a_shells() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, hard = before
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        _allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (OPEN_FILES if hard < 0 else min(OPEN_FILES, hard), hard)
        _allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
