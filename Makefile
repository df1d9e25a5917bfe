# One word per chore; `make` alone lists them.

venv := .venv
python := $(venv)/bin/python
sources := api/src api/tests

.PHONY: help run test faults lint format openapi clean

help: ## List the words
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: $(venv)/run ## Serve on http://localhost:8080, on a PostgreSQL of its own; Ctrl-C stops it
	@$(python) -m kt_images

test: $(venv)/dev lint ## Check the code's form, then run all tests
	@$(venv)/bin/pytest api

faults: $(venv)/dev ## Kill, trace and starve the service, for half an hour; needs strace and the right to mount
	@KT_IMAGES_FAULTS=all $(venv)/bin/pytest -s -v api/tests/faults

lint: $(venv)/dev ## ruff, mypy and the direction of imports
	@$(venv)/bin/ruff check $(sources)
	@$(venv)/bin/ruff format --check $(sources)
	@$(venv)/bin/mypy --config-file api/pyproject.toml api/src
	@$(venv)/bin/lint-imports --config api/pyproject.toml --no-cache

format: $(venv)/dev ## Rewrite the code in the house's form
	@$(venv)/bin/ruff check --fix $(sources)
	@$(venv)/bin/ruff format $(sources)

openapi: $(venv)/run ## Write openapi.json anew
	@$(python) -m aiohttp_pydantic.oas -o openapi.json kt_images.wsgi:app

clean: ## Remove the virtual environment; what is stored under data/ stays
	rm -rf $(venv)

# The first Python that is new enough makes the virtual environment.
$(venv)/bin/python:
	@for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(venv) with $$candidate" && exec $$candidate -m venv $(venv); \
		fi; \
	done; echo 'kt-images needs Python 3.11 or newer' >&2; exit 1

$(venv)/run: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(python) -m pip install --quiet --disable-pip-version-check --editable 'api[embedded]'
	@touch $@

$(venv)/dev: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(python) -m pip install --quiet --disable-pip-version-check --editable 'api[dev]'
	@touch $@ $(venv)/run
