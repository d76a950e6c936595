# make serve | demo | test | test-all | check | bench | torture | dist | deb. The locked packages go into .venv, by hash.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
CHECKS := check-types check-imports check-format check-lint check-pb check-man
# Parallel test processes: a test waits for half of its time.
JOBS ?= 4
# Tests start many processes. Each would compile the sources again without the written bytecode.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve demo test test-all check check-and-deb $(CHECKS) bench torture dist deb format pb man schema lock clean

serve: $(VENV)/.runtime
	$(BIN)/kannon serve $(ARGS)

demo: $(VENV)/.runtime
	$(BIN)/kannon demo $(ARGS)

# A few minutes on two cores. Left to test-all: the tests marked `long` (thousand-mail forms, the second build of the same
# bytes) and `serial` (those that measure time by the clock, with nothing beside them), a thousand examples of every
# property, the second event loop under the SMTP server, and the end-to-end tests against the single executable but for
# those marked `as_built`.
test: check-and-deb $(VENV)/.interop
	$(PYTEST) $(ARGS)

test-all: check-and-deb $(VENV)/.interop
	TEST_LONG=1 $(PYTEST) -m "not serial" $(ARGS)
	TEST_LONG=1 $(BIN)/pytest -m serial $(ARGS)

# A file's tests run in one process, and files start in the order that tests/conftest.py gives them.
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=20

check: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=4 --output-sync $(CHECKS)

# The build takes as long as all checks. Started by the tests, it would let one of their processes wait.
check-and-deb: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=4 --output-sync $(CHECKS) deb

check-types:
	$(BIN)/mypy

check-imports:
	$(BIN)/lint-imports

check-format:
	$(BIN)/ruff format --check .

check-lint:
	$(BIN)/ruff check .

check-pb:
	$(BIN)/python tools/gen_pb.py --check

check-man:
	$(BIN)/python tools/gen_man.py --check

bench: $(VENV)/.dev $(VENV)/.interop
	$(BIN)/python -m tests.bench $(ARGS)

# Random faults against one campaign of mail: 25 minutes, or ARGS=--quick for less than 3.
torture: $(VENV)/.dev
	$(BIN)/python -m tests.torture $(ARGS)

SOURCES := $(shell find kannon sql -name '*.py' -o -name '*.sql' -o -path '*/pages/*/*.*')
PACKAGED := packaging/kannon.spec packaging/launcher.c packaging/account_name.c packaging/runtime_hook.py \
	packaging/kannon.service packaging/kannon.sysusers tools/pack.py kannon.toml.example \
	docs/man/kannon.1 docs/man/kannon.toml.5 requirements-dev.lock

dist: dist/kannon

# The single executable. Its bytes depend only on sources, locks, compiler and system libraries.
dist/kannon: $(SOURCES) $(PACKAGED) | $(VENV)/.dev
	SOURCE_DATE_EPOCH=0 PYTHONHASHSEED=0 $(BIN)/pyinstaller --noconfirm --log-level WARN \
		--distpath build/bundle --workpath build/pyinstaller packaging/kannon.spec

deb: build/.deb

build/.deb: dist/kannon packaging/build-deb $(wildcard packaging/deb/* packaging/prometheus/*) CHANGELOG.md
	SOURCE_DATE_EPOCH=0 packaging/build-deb
	@touch $@

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pb: $(VENV)/.dev
	$(BIN)/python tools/gen_pb.py

man: $(VENV)/.dev
	$(BIN)/python tools/gen_man.py

# Writes sql/schema.sql, the result of all migrations, for reading.
schema: $(VENV)/.dev
	$(BIN)/python -m tools.dump_schema

# The locks contain versions and hashes, and no index address.
lock: $(VENV)/.dev
	echo uv | $(BIN)/uv pip compile - $(LOCK) -o packaging/uv.lock
	$(BIN)/uv pip compile pyproject.toml packaging/build.in $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml packaging/build.in --extra dev $(LOCK) -c requirements.lock -o requirements-dev.lock

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

# uv installs in seconds what takes pip a minute. pip does it where uv does not work: uv reads no pip.conf, for example.
HASHED := install --quiet --require-hashes --no-deps -r
INSTALL = @$(call try,$(BIN)/uv pip $(HASHED) $(1) --python $(BIN)/python) || $(call try,$(BIN)/pip $(HASHED) $(1) --no-compile)
try = { echo "$(1)"; $(1); }
# pip compiles on one core. Some packages contain files that this Python cannot compile.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/pip $(HASHED) packaging/uv.lock

$(VENV)/.runtime: requirements.lock packaging/uv.lock pyproject.toml setup.py | $(BIN)/python
	$(call INSTALL,requirements.lock)
	$(COMPILE)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(call INSTALL,requirements-dev.lock)
	$(COMPILE)
	@touch $@

# Debian packages that tests and benchmarks use: postfix and others.
$(VENV)/.interop: packaging/test-packages.txt packaging/test-packages-unpacked.txt packaging/install-test-packages | $(BIN)/python
	packaging/install-test-packages
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
