# The front door. `make` alone says what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EVENTS ?= 5000000
SEED ?= 0
EVERY ?= 1
RUNS ?= 4
JOBS ?= 3
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup bytecode demo demo-stop test test-again check walks crash kills recycled runbook mutants ssh bench bench-peers docs lock clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## Make .venv from the lock files, hashes checked

$(STAMP): requirements/dev.txt requirements/seekdb.txt pyproject.toml
	@$(PYTHON) tools/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	@$(BIN)/python tools/install_seekdb.py requirements/seekdb.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# As pip does for a wheel: agents and commands that are started from here need not compile what they import.
bytecode: $(STAMP)
	@$(BIN)/python -m compileall -q src

demo: bytecode ## Three agents, a real cluster, a scale-out; KEEP=1 leaves it up
	@$(BIN)/python -m demo.run $(if $(KEEP),--keep)

demo-stop: $(STAMP) ## Take a kept demo down
	@$(BIN)/python -m demo.stop

test: bytecode ## Run the tests; JOBS=3 at once, a file each
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-again: bytecode ## Run what failed last once more, by itself
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures=none

check: $(STAMP) ## Lint, format, types, layers, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.settings_docs --check
	$(BIN)/python -m tools.performance_docs --check
	$(BIN)/python -m tools.playbooks_docs --check
	$(BIN)/python -m tools.conformance_docs --check
	$(BIN)/python -m tools.ocp_conformance_docs --check
	$(BIN)/python -m tools.security_docs --check

walks: $(STAMP) ## Walk the state machine at random, its store going back in one event of five; EVENTS=5000000 SEED=0
	$(BIN)/python -m tests.walks --events $(EVENTS) --seed $(SEED)

crash: bytecode ## Kill agents at every write and every message; EVERY=1, RUNS=4 at once, RESUME=1 goes on
	$(BIN)/python -m tests.crash --every $(EVERY) --jobs $(RUNS) --record .bench/crash.json $(if $(RESUME),--resume)

kills: bytecode ## Kill agents with SIGKILL at every node of what makes, changes, starts and stops a cluster, and of what undoes it
	KILLS=all $(BIN)/python -m pytest tests/spine/test_killed_everywhere.py tests/spine/test_killed_undone.py tests/spine/test_killed_and_down.py \
		tests/lifecycle/test_killed.py

recycled: bytecode ## Write gigabytes until a stopped standby's redo is gone; see what its start says, and rebuild it
	RECYCLED=all $(BIN)/python -m pytest tests/lifecycle/test_recycled.py

runbook: bytecode ## Switch over, fail over and rebuild on real servers, with the statements of docs/operating.md
	RUNBOOK=all $(BIN)/python -m pytest tests/lifecycle/test_runbook.py

ssh: $(STAMP) ## Install and reinstall agents over SSH, failing at every turn
	OBOE_SSH_LONG=1 $(BIN)/python -m pytest tests/ssh

bench: bytecode ## Measure, beside what one commit costs on this disk; writes .bench/latest.json
	$(BIN)/python -m benchmarks

bench-peers: bytecode $(PEERS_STAMP) ## The same chains on oboe, DBOS, huey, procrastinate and Prefect; writes .bench/peers.json
	$(BIN)/python -m benchmarks.peers --environment $(PEERS)

$(PEERS_STAMP): requirements/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/peers.txt
	@touch $@

mutants: $(STAMP) ## Plant slips into the state machine and see that the walks notice
	$(BIN)/python -m tests.walks --mutants --events 1000000

docs: $(STAMP) ## Write the pages that are generated from the code
	$(BIN)/python -m tools.settings_docs
	$(BIN)/python -m tools.performance_docs
	$(BIN)/python -m tools.playbooks_docs
	$(BIN)/python -m tools.conformance_docs
	$(BIN)/python -m tools.ocp_conformance_docs
	$(BIN)/python -m tools.security_docs

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $(if $(UPGRADE),--upgrade)
lock: $(STAMP) ## Write the lock files anew; UPGRADE=1 takes the newest versions
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) requirements/seekdb.in -o requirements/seekdb.txt
	$(LOCK) requirements/tools.in -o requirements/tools.txt
	$(LOCK) requirements/peers.in -o requirements/peers.txt

clean: ## Remove what make made; refuses while a demo is up
	@if [ -e .demo ]; then echo 'There is a demo: run `make demo-stop` first.' >&2; exit 1; fi
	rm -rf $(VENV) $(PEERS) .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
