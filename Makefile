# `make up` and `make test` are all that most people need; `make help` lists the rest.
PYTHON ?= python3
DATA ?= auto
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
COUNT := /^Collecting/ {printf "\r  collected %d", ++n} /^Installing/ {printf "\r  collected %d, installing", n} {fflush()} END {if (n) print ""}

.PHONY: help install up test lint docs lab export readme screenshots diagrams lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: .venv/installed  ## create .venv and install from the lock

.venv/installed: requirements.lock settings.ini setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; name one: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing $$(grep -c . requirements.lock) packages into .venv; the first time takes some minutes"
	@$(BIN)/python -m pip install --progress-bar off --requirement requirements.lock | awk '$(COUNT)'
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

up: install  ## train if need be, and serve everything; DATA=path for your own reviews
	@exec $(BIN)/yelp-reviews up --data "$(DATA)"

test: install  ## run all tests, notebooks and tests/; SLOW=1 runs the slow ones too
	$(BIN)/nbdev_test --n_workers 2 $(if $(SLOW),--flags slow)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(SLOW),--slow)

lint: install  ## style of notebooks, package and scripts; types of the package
	$(BIN)/ruff check nbs tests benchmarks docs yelp_reviews
	$(BIN)/mypy

docs: install  ## the documentation site, in _docs/html
	@rm -rf _docs/html
	$(BIN)/python docs/collect.py _docs/source
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet -c docs -d _docs/doctrees _docs/source _docs/html
	$(BIN)/python docs/check_site.py _docs/html

lab: install  ## edit the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

export: install  ## notebooks to package, README and table of settings; outputs cleaned
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_clean --fname papermill_runs
	$(BIN)/python docs/settings_table.py
	@$(MAKE) --no-print-directory readme

readme:  ## README.md from nbs/index.ipynb
	$(BIN)/jupyter nbconvert --log-level ERROR --to markdown nbs/index.ipynb --output-dir . --output README \
		--RegexRemovePreprocessor.patterns='^#\|\s*hide'
	@awk '/^```/ {open = !open; if (open && $$0 == "```") $$0 = "```python"} 1' README.md > README.tmp && mv README.tmp README.md

screenshots: install  ## docs/img anew, from synthetic reviews, in Debian's Chromium
	$(BIN)/python docs/screenshots.py

diagrams: install  ## the Mermaid diagrams as pictures for the site, in docs/img; needs npm
	$(BIN)/python docs/diagrams.py

lock:  ## make requirements.lock anew, from settings.ini, in an environment of its own
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet ".[serve,proxy,encoder,train,dashboard,dev,docs]"
	.venv-lock/bin/pip freeze --exclude yelp-reviews | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock

clean:  ## remove what was built and the state of `make up`, not the cache
	rm -rf .yelp build dist *.egg-info _docs .mypy_cache .ruff_cache .venv
