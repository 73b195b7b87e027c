# Every target works on a fresh clone with nothing but make and Python >= 3.11. Each builds what it
# needs in .venv with pip as the user has set it up, and does so again when pyproject.toml changes.

PYTHON ?= python3
PYTEST_ARGS ?=
SCENARIOS ?= ../shared/scenarios
SCENARIO_ARGS ?= --kind plain --jobs 2

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
STAMP := $(VENV)/.stamp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-network test-faults check format bench bench-search bench-builds bench-cancel docs api scenarios clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: $(STAMP)-demo ## create a venv, resolve and install flask and jupyterlab into it
	$(RUN) examples/demo.py

test: $(STAMP)-test ## run the tests that need no network
	$(RUN) -m pytest $(PYTEST_ARGS)

test-network: $(STAMP)-test ## run the tests that install real projects from the real index
	$(RUN) -m pytest -m network $(PYTEST_ARGS)

test-faults: $(STAMP)-test ## inject a failure, and a kill, at every single file system operation
	FAULTS=all $(RUN) -m pytest -m "faults and not network" $(PYTEST_ARGS)

check: $(STAMP)-check ## formatting, lint, types, layers: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy src typing_tests docs/examples
	$(BIN)/pyright --pythonpath $(RUN)

format: $(STAMP)-check ## format the code and mend what can be mended by machine
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)-bench ## measure, interleaved with uv
	$(RUN) -m benchmarks

bench-search: $(STAMP)-bench ## search hard sets of requirements, interleaved with uv
	$(RUN) -m benchmarks.hard_sets

bench-builds: $(STAMP)-bench ## build and install sources, interleaved with uv
	$(RUN) -m benchmarks.builds

bench-cancel: $(STAMP)-bench ## measure how soon a resolution ends after a cancel at any moment
	$(RUN) -m benchmarks.cancel_latency

docs: $(STAMP)-docs ## build the documentation into site/, warnings are errors
	$(BIN)/mkdocs build --strict --quiet

api: $(STAMP)-test ## write tests/public_api.txt anew from the public modules
	$(RUN) -m tests.public_api_snapshot

scenarios: $(STAMP)-test ## put the resolver scenarios of a sibling folder to the resolver
	@if [ -d "$(SCENARIOS)" ]; then \
	  $(RUN) "$(SCENARIOS)/scen.py" run --backend command --persistent $(SCENARIO_ARGS) \
	    --command "$(abspath $(RUN)) $(abspath $(SCENARIOS))/examples/puffin_backend.py"; \
	else echo "no scenarios at $(SCENARIOS); say where with SCENARIOS=..."; fi

clean: ## remove the environment and everything built
	rm -rf $(VENV) site dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say which with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# 25.1 is the first pip with dependency groups; a venv of Python 3.11 brings an older one.
$(STAMP)-%: pyproject.toml | $(VENV)/pyvenv.cfg
	$(RUN) -m pip install --quiet "pip>=25.1"
	$(RUN) -m pip install --quiet --editable . --group $*
	@touch $@
