# Thin aliases; everything here can also be typed as `tradingai …` or `pytest …` by hand.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
COIN ?= BTC
EPOCHS ?= 10
TAG ?=
DAY ?=
WINDOW ?= 24
OUT ?=
PART ?=
UNITS ?=
MINUTES ?=
TORCH_INDEX ?=
SEED ?= 1 2 3
DAYS ?=
BASE ?=
NEW ?=
ROUNDS ?=
WORKERS ?= auto
PYTEST_WORKERS := -n $(WORKERS) --dist loadgroup

PIP_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX),)
PIP_QUIET := $(if $(CI),--quiet,)
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(PIP_QUIET) -c constraints.txt $(PIP_INDEX)

.DEFAULT_GOAL := help
.PHONY: help install run run-dry export-metrics test test-all lint format train phase6_5-daily rollback-model bench bench-compare growth evidence soak evidence-markets evidence-models pictures tour clean

help: ## this list
	@grep -hE '^[a-z][a-z0-9_-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | \
		awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter, TORCH_INDEX=URL another build of torch."

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "TradingAI needs Python 3.11 or newer: make run PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV). To download: about 170 MB of packages, and torch on top of that:"
	@echo "  180 MB for a CPU build; PyPI's own build for Linux on x86-64 brings CUDA libraries, 2 to 3 GB."
	@echo "  For the small one there: make run TORCH_INDEX=https://download.pytorch.org/whl/cpu"
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.installed
	@echo "Installing the test tools into $(VENV): about 40 MB to download."
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@$(PIP_INSTALL) -e '.[dev,bench]'
	@touch $@

install: $(VENV)/.installed ## set up .venv (the other targets do it when it is missing)

run: $(VENV)/.installed ## set up, then the console; without a terminal the quick workload, headless
	@if [ -t 0 ] && [ -t 1 ]; then exec $(BIN)/tradingai; else exec $(BIN)/tradingai pipeline --workload quick; fi

test: lint ## linters, types, layer contracts and all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_WORKERS)

test-all: lint ## the slow tests as well: full markets, three seeds, kill -9 in every stage
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev ## ruff, its format, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## let ruff fix what it can
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

run-dry: $(VENV)/.installed ## the scan loop without a console; dry-run is the only mode there is
	$(BIN)/tradingai run

export-metrics: $(VENV)/.installed ## make export-metrics WINDOW=24 OUT=metrics.json (or .csv): the last hours' numbers
	@test -n "$(OUT)" || { echo "name the file: make export-metrics WINDOW=24 OUT=metrics.json" >&2; exit 2; }
	$(BIN)/tradingai metrics export --window $(WINDOW) --out $(OUT)

train: $(VENV)/.installed ## make train COIN=BTC EPOCHS=10
	$(BIN)/tradingai train lstm --coin $(COIN) --epochs $(EPOCHS)

phase6_5-daily: $(VENV)/.installed ## make phase6_5-daily DAY=day1: that day's snapshot of the observation
	@test -n "$(DAY)" || { echo "name the day: make phase6_5-daily DAY=day1" >&2; exit 2; }
	$(BIN)/tradingai observe daily $(DAY)

rollback-model: $(VENV)/.installed ## make rollback-model TAG=v1.0.0: every live model back to it
	@test -n "$(TAG)" || { echo "name the version: make rollback-model TAG=v1.0.0" >&2; exit 2; }
	$(BIN)/tradingai models rollback --to $(TAG)

bench: $(VENV)/.installed-bench ## measured against required and a baseline: make bench [ONLY=candles,lstm] [DAYS=60]
	@$(BIN)/python benchmarks/run.py $(if $(ONLY),--only $(ONLY),) $(if $(DAYS),--days $(DAYS),)

bench-compare: $(VENV)/.installed-bench ## two revisions: make bench-compare BASE=<file or git revision> [ROUNDS=3] [ONLY=scan]
	@test -n "$(BASE)" || { echo "name a document of make bench or a revision: make bench-compare BASE=HEAD~1" >&2; exit 2; }
	@$(BIN)/python benchmarks/bench_compare.py "$(BASE)" $(if $(NEW),--new $(NEW),) $(if $(ONLY),--only $(ONLY),) \
		$(if $(DAYS),--days $(DAYS),) $(if $(ROUNDS),--rounds $(ROUNDS),)

growth: $(VENV)/.installed-bench ## what each stage costs a row, what bounds it, rows, coins and cores: docs/performance.json
	@$(BIN)/python benchmarks/growth.py $(if $(FULL),--full,)

soak: $(VENV)/.installed-dev ## 30 days of the live loop with faults from a seed, then the invariants: make soak SEED=3
	@status=0; for seed in $(SEED); do \
		$(BIN)/python benchmarks/soak.py --seed $$seed $(if $(DAYS),--days $(DAYS),) || status=1; \
		done; exit $$status

evidence: $(VENV)/.installed-dev ## calibration of the gates: make evidence [PART=null] [UNITS=20] [MINUTES=30]
	@$(BIN)/python benchmarks/evidence_gates.py $(PART) $(if $(UNITS),--units $(UNITS),) \
		$(if $(MINUTES),--minutes $(MINUTES),)

evidence-markets: $(VENV)/.installed-dev ## four markets, five seeds: the tables of docs/evidence.md (an hour)
	@$(BIN)/python benchmarks/evidence_markets.py

evidence-models: $(VENV)/.installed-dev ## all kinds of models on cycles and null, five seeds: tables of docs/evidence.md
	@$(BIN)/python benchmarks/evidence_models.py

tour: $(VENV)/.installed-dev ## record the way from an empty home to signals, and draw docs/console/tour.svg
	$(BIN)/python -m pytest tests/screens/test_whole_way.py
	$(BIN)/python docs/tour.py --cast build/tour.cast

pictures: $(VENV)/.installed ## draw docs/console/*.svg from a home of its own (some minutes)
	$(BIN)/tradingai --home build/pictures pipeline --workload quick
	$(BIN)/python docs/pictures.py --home build/pictures

clean: ## remove .venv and caches; homes, data and models are left alone
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build
