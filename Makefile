# The verbs of the house. `make run` and `make test` need nothing but Python 3.11+ and this folder.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests
CELERY := $(BIN)/python -m celery --quiet --app api.worker

.PHONY: run test everywhere dev check fmt bench soak worker beat migrate env lock

run: .venv/runtime  ## install, migrate, serve the embedded program with a demo app
	@$(BIN)/python -m api.cli start --demo

test: .venv/dev  ## the whole suite, offline
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist worksteal $(TESTS)

everywhere: .venv/dev  ## the same with each test on SQLite and on PostgreSQL with Redis, which must answer
	@TEST_EVERYWHERE=1 $(MAKE) --no-print-directory test

dev: .venv/dev  ## everything for working on the code, with the commit hooks where pre-commit is installed
	@command -v pre-commit >/dev/null && pre-commit install || true

check: .venv/dev  ## what CI checks; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/architecture

fmt: .venv/dev  ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/dev  ## measure against a bare proxy in the same run; asserts nothing
	@$(BIN)/python -m tests.bench $(ARGS)

soak: .venv/dev  ## the long tests, which the suite has in short
	@$(BIN)/python -m pytest tests/soak/long_*.py

worker: .venv/runtime  ## run the jobs of a scaled-out installation (QUEUE=celery)
	@PYTHON=$(CURDIR)/$(BIN)/python docker/worker.sh

beat: .venv/runtime  ## call the schedule of a scaled-out installation; one of these
	@$(CELERY) beat --pidfile=

migrate: .venv/dev  ## with m="what changes": write a migration; without: apply what there is
	@if [ -n "$(m)" ]; then $(BIN)/python -m api.cli new-migration "$(m)"; else $(BIN)/python -m api.cli migrate; fi

env: .venv/runtime  ## write .env.example from the settings
	@$(BIN)/python -m api.cli env > .env.example

lock:  ## pin the dependencies again; needs uv on PATH
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate pyproject.toml -o requirements/runtime.lock
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --extra s3 -c requirements/runtime.lock pyproject.toml -o requirements/s3.lock
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --extra otel -c requirements/runtime.lock pyproject.toml -o requirements/otel.lock
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --group dev -c requirements/runtime.lock -o requirements/dev.lock

.venv/runtime: requirements/runtime.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.lock
	@touch $@

.venv/dev: requirements/runtime.lock requirements/dev.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.lock -r requirements/dev.lock
	@touch $@ .venv/runtime
