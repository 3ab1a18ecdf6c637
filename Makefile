# Every target creates .venv when it is missing; most targets run .venv/bin/leukoflow.
# Processes of mypy and pytest.
WORKERS ?= 2
UV_VERSION := 0.13.9
BIN := .venv/bin
INSTALLED := .venv/.installed
# The first Python 3.11 or 3.12 that starts: a pyenv shim on PATH may have no Python behind it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	$$python -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	2>/dev/null && { echo $$python; break; }; done)

.DEFAULT_GOAL := help
.PHONY: demo up down status check test lint bench scoreboard image env cluster clean help

demo: env ## the whole loop on sample smears; DATA=archive.zip uses your images, LIMIT=n takes n per class
	$(BIN)/leukoflow demo $(if $(DATA),--data '$(DATA)') $(if $(LIMIT),--limit '$(LIMIT)')

up: env ## start the stack: S3, MLflow, Airflow, service, reports
	$(BIN)/leukoflow up

down: env ## stop the stack; its data stays
	$(BIN)/leukoflow down

status: env ## state and address of every process
	$(BIN)/leukoflow status

check: env ## style, types and unit tests: two minutes on two cores
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n $(WORKERS)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not integration" tests/architecture tests/unit

test: env ## all tests: half an hour on two cores
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: env ## style, types, Dockerfiles, Compose file and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n $(WORKERS)
	@if [ -x .ci/lint-ship ]; then PATH="$(CURDIR)/$(BIN):$$PATH" .ci/lint-ship; fi

bench: env ## ratios against named baselines, into benchmarks/results.json
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m benchmarks

scoreboard: env ## the table of the last make bench, without measuring again
	$(BIN)/python -m benchmarks --scoreboard

image: env ## build the service image with docker, podman or buildah
	$(BIN)/leukoflow image

cluster: env ## the same stack in containers: PostgreSQL, Redis, Celery workers
	@command -v docker >/dev/null || { echo "make cluster needs docker; without it, make up runs the embedded stack"; exit 3; }
	$(BIN)/python docker/passwords.py
	CODE_VERSION="$$($(BIN)/python -m pipeline.version)" docker compose up --build

env: $(INSTALLED) ## create .venv from the hashed lock

$(INSTALLED): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "expected python3.11 or python3.12 on PATH, found neither"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

clean: ## stop the stack, remove .venv, builds and caches; data and passwords in .leukoflow stay
	@if [ -x $(BIN)/leukoflow ]; then $(BIN)/leukoflow down; fi
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
