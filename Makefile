# One word per chore; `make` alone lists them.

venv := .venv
python := $(venv)/bin/python
sources := api/src api/tests api/benchmarks

.PHONY: help run test slow faults bench lint format docs openapi clean

help: ## List the words
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: $(venv)/run ## Serve on http://localhost:8080, on a PostgreSQL of its own; Ctrl-C stops it
	@$(python) -m kt_images

test: $(venv)/dev lint ## Check the code's form, then run all tests
	@$(venv)/bin/pytest api

slow: $(venv)/dev ## Run the tests that take minutes
	@$(venv)/bin/pytest api -m slow

faults: $(venv)/dev ## Kill, trace, starve and restart, for half an hour; needs strace and the right to mount
	@KT_TEST_ROUNDS=50 KT_IMAGES_FAULTS=all $(venv)/bin/pytest -s -v api/tests/faults api/tests/database api/tests/views/test_listing.py

lint: $(venv)/dev ## ruff, mypy and the direction of imports
	@$(venv)/bin/ruff check $(sources)
	@$(venv)/bin/ruff format --check $(sources)
	@$(venv)/bin/mypy --config-file api/pyproject.toml api/src
	@$(venv)/bin/lint-imports --config api/pyproject.toml --no-cache

format: $(venv)/dev ## Rewrite the code in the house's form
	@$(venv)/bin/ruff check --fix $(sources)
	@$(venv)/bin/ruff format $(sources)

docs: $(venv)/dev ## Renew the copies of the commands' help in api/docs/client.md
	@$(python) api/tests/cli/helps.py

openapi: $(venv)/run ## Write openapi.json anew
	@$(python) -m aiohttp_pydantic.oas -o openapi.json kt_images.wsgi:app

# More of it: make bench ONLY='list filters' IMAGES=10000 ROUNDS=9
bench: $(venv)/bench ## The service beside its peers: api/benchmarks/README.md
	@cd api && ../$(python) -m benchmarks $(ONLY) $(IMAGES:%=--images %) $(ROUNDS:%=--rounds %)

clean: ## Remove the virtual environment; what is stored under data/ stays
	rm -rf $(venv)

# The first Python that is new enough makes the virtual environment.
$(venv)/bin/python:
	@for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(venv) with $$candidate"; \
			$$candidate -m venv $(venv) && exit; \
			rm -rf $(venv); exit 1; \
		fi; \
	done; echo 'kt-images needs Python 3.11 or newer; PYTHON=/path/to/python names one that is not on the PATH' >&2; exit 1

$(venv)/run: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(python) -m pip install --quiet --disable-pip-version-check --editable 'api[server,embedded]'
	@touch $@

$(venv)/dev: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(python) -m pip install --quiet --disable-pip-version-check --editable 'api[dev]'
	@touch $@ $(venv)/run

$(venv)/bench: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(python) -m pip install --quiet --disable-pip-version-check --editable 'api[bench]'
	@touch $@
