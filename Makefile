# `make demo` and `make test` need Python 3.11, pip and make, and install nothing outside this folder.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEPENDENCIES := pyproject.toml constraints.txt

.PHONY: help demo test test-uuid faults visibility lint format browser bench constraints clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Run the example shop on http://127.0.0.1:8000/ (CATALOG=folder for real pictures)
	@exec $(BIN)/python manage.py demo $(if $(CATALOG),--catalog "$(CATALOG)") $(if $(PORT),--port $(PORT))

test: $(VENV)/.test ## Run every test that can run on this machine
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder
	$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder --ds=tests.settings_uuid

faults: $(VENV)/.test ## Kill, freeze and starve all that indexing stands on, and count what it survives (some 20 minutes)
	FAULTS=1 $(BIN)/python -m pytest tests/faults

visibility: $(VENV)/.test ## Search 100,000 times while products are hidden, deleted and priced, and count what must not be seen (10-15 minutes)
	VISIBILITY=100000 $(BIN)/python -m pytest tests/visibility

lint: $(VENV)/.lint ## Check style, types, templates and migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	git ls-files -z '*.html' | xargs -0 $(BIN)/djade --check --target-version 5.2
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.lint ## Put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	git ls-files -z '*.html' | xargs -0 $(BIN)/djade --target-version 5.2

browser: ## Install Debian's Chromium for the page tests (system-wide, asks for root)
	apt-get install --yes --no-install-recommends chromium

bench: $(VENV)/.test ## Run the benchmarks' quick forms
	$(BIN)/python benchmarks/embed.py --quick
	$(BIN)/python benchmarks/indexing.py --quick
	$(BIN)/python benchmarks/quality.py --quick
	$(BIN)/python benchmarks/broker.py --quick
	$(BIN)/python benchmarks/search.py --quick

constraints: $(VENV)/.lint ## Write constraints.txt from what is installed
	(head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cu[0-9]*//') > constraints.new
	mv constraints.new constraints.txt

clean: ## Remove what demo, tests and builds left behind
	rm -rf .demo .test .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

# A missing torch takes minutes and gigabytes: say so before it does.
$(VENV)/bin/python:
	@echo "Installing into $(VENV): about 5 GB with torch, a few minutes the first time."
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(DEPENDENCIES) | $(VENV)/bin/python
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(DEPENDENCIES) | $(VENV)/bin/python
	$(INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.lint: $(DEPENDENCIES) | $(VENV)/bin/python
	$(INSTALL) --editable '.[test,lint]'
	@touch $@
