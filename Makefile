# Everything a person types here. `make` alone says what there is.
# Needs make and Python 3.11 or newer, found as python3; another one: make PYTHON=/path/to/python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo check scenarios test lint coverage mutants bench screenshots pages lock schemas clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## what the demo needs, as locked in requirements.txt, in .venv
install-dev: $(VENV)/.installed-dev ## what the tests need besides

demo: $(VENV)/.installed ## a simulated district, measured, forecast, planned and controlled; open the page it prints
	@$(BIN)/ems demo

check: $(VENV)/.installed ## read buildings/ and say what is wrong with it
	@$(BIN)/ems check

scenarios: $(VENV)/.installed-dev ## every scenario as a study against rules-tuned and oracle, and its expected figures; hours
	@for s in scenarios/*/; do case $$s in */ordinary/|*/replay/) continue;; esac; \
	  $(BIN)/ems simulate $$s --opponents rules-tuned,oracle || failed=1; done; exit $${failed:-0}

test: $(VENV)/.installed-dev ## everything: lint, types, imports, units, field, web, scenarios; minutes per group
	@$(BIN)/python tests/run.py

lint: $(VENV)/.installed-dev ## the house rules alone: ruff, mypy, import layers
	@$(BIN)/python tests/run.py house

coverage: $(VENV)/.installed-dev ## every branch of envelope, write gate and journal is gone through by their tests, or it fails
	@$(BIN)/python tests/run.py guards

mutants: $(VENV)/.installed-dev ## faults put into envelope, write gate and journal one by one, and how many no test notices
	@$(BIN)/python benchmarks/mutants.py

bench: $(VENV)/.installed-dev ## how long things take, as measured on this machine
	@for bench in $(filter-out benchmarks/mutants.py,$(wildcard benchmarks/*.py)); do echo "$$bench"; $(BIN)/python $$bench || exit 1; done

screenshots: $(VENV)/.installed-dev ## every page, both widths, themes and languages, into var/screenshots
	@$(BIN)/python -m tests.web.screenshots

pages: $(VENV)/.installed-dev ## every page asked for barriers at every width, in every theme and language; minutes
	@EVERY_PAGE=1 $(BIN)/python -m pytest tests/web/test_browser.py

schemas: $(VENV)/.installed ## write buildings/schema/*.json anew
	@$(BIN)/ems schema buildings

lock: $(VENV)/.installed-dev ## resolve the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile pyproject.toml --extra checkout -o requirements.txt $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra postgres --extra oidc --extra pdf --extra checkout -c requirements.txt -o requirements-dev.txt $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --extra bench -c requirements-dev.txt -o requirements-bench.txt $(LOCK)

LOCK := --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

clean: ## remove .venv and what was built or cached
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again only when a lock or pyproject.toml changes.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is needed: make PYTHON=/path/to/it $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # half a venv would be taken for one

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing what requirements.txt locks into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what requirements-dev.txt locks into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@
