PYTHON ?= python3

VENV  := .venv
READY := $(VENV)/.ready
DEV   := $(VENV)/.dev
RAY   := $(VENV)/.ray
# Stages call `python`: whatever make starts finds the project's own first. By `python -m`, because
# the environment's scripts name the place where it was built: a moved checkout still runs.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# An idle thread of OpenMP spins before it sleeps: by default so long that two trainings beside each
# other keep each other from working. This shortens it, and a single training is as fast
# (benchmarks/side_by_side.py).
export GOMP_SPINCOUNT ?= 10000

RESOLVE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make lock" --quiet
# It adds and replaces, and takes nothing away: `make repro` leaves the tools of `make test` alone.
# No dependencies but the lock's: those that pyproject.toml excludes would be asked for again.
INSTALL := $(VENV)/bin/uv pip install --python $(VENV)/bin/python --no-deps --require-hashes --requirement
# Every stage is a new process, and importing torch takes twice as long without bytecode: the first
# import writes it, a fifth of what the packages have.
unexport PYTHONDONTWRITEBYTECODE

# Two files of tests at a time, on a core each: the tests of a file share what takes long to make. In
# the order of their names, the long ones are not the last.
PYTEST := python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

.PHONY: help repro test check format docs ui demo bench lock cluster clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

repro: $(READY)  ## run the pipeline: only the stages whose code, data or parameters changed
	@python -m src.check_params
	@# As after a download without git, of which DVC wants to be told.
	@[ -e .git ] || python -m dvc config --local --quiet core.no_scm true
	python -m dvc repro
	@# Again: DVC may have brought back what custom data were before.
	@python -m src.check_params
	@python -m src.close_runs
	@echo
	@echo "Done. The report: reports/index.html   Numbers: reports/metrics.json   Compare runs: make ui"

test: $(DEV)  ## run the tests
	$(PYTEST)

check: $(DEV)  ## formatting, lint, types, tests: what CI runs
	python -m ruff format --check .
	python -m ruff check .
	python -m mypy
	$(PYTEST)

format: $(DEV)  ## rewrite the code in the project's format
	python -m ruff format .
	python -m ruff check --fix .

docs: $(READY)  ## update the tables of README.md and docs/ from what made them
	python -m docs.fill

ui: $(READY)  ## compare runs at http://127.0.0.1:5000 (PORT=... to change)
	@python -m src.ui $(PORT)

demo: $(READY)  ## draw a digit at http://127.0.0.1:8000 (PORT=... to change)
	@python -m src.demo $(PORT) $(if $(MODEL),--model '$(MODEL)')

bench: repro $(DEV) $(RAY)  ## measure the rows of docs/performance.md but for sweeps' (ROWS="6 7" for single ones)
	python -m benchmarks $(ROWS)
	python -m docs.fill

# Each resolution is bound to the versions of the one before: tests run on what users get.
lock: $(READY)  ## resolve pyproject.toml into the three locks
	$(RESOLVE) --output-file requirements.lock
	$(RESOLVE) --group cluster --constraint requirements.lock --output-file requirements-cluster.lock
	$(RESOLVE) --group dev --constraint requirements-cluster.lock --output-file requirements-dev.lock

cluster: $(RAY)  ## add Ray to the environment, for --cluster

clean:  ## remove the environment; data, runs and models stay
	rm -rf $(VENV)

# uv itself comes from the lock, too.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ { on = 1 } on; on && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.lock
	$(VENV)/bin/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.lock
	$(INSTALL) requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(READY)
	$(INSTALL) requirements-dev.lock
	@touch $@

$(RAY): requirements-cluster.lock $(READY)
	$(INSTALL) requirements-cluster.lock
	@touch $@
