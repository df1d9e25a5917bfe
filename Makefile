# One target per chore; `make` alone lists them.

venv := .venv
python := $(venv)/bin/python
install := $(python) -m pip install --quiet --disable-pip-version-check --editable
sources := api/src api/tests api/benchmarks

.PHONY: help run test slow faults bucket-faults bench screenshots lint page format docs openapi constraints clean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: $(venv)/run ## Serve on http://localhost:8080 with an embedded PostgreSQL; Ctrl-C stops it
	@$(python) -m kt_images

# In two processes, each with a database of its own: most tests wait for others, not for the processor.
test: $(venv)/dev lint ## Lint, then run the tests
	@$(venv)/bin/pytest api --numprocesses 2 --dist loadfile --no-loadscope-reorder

slow: $(venv)/dev ## Run the tests that take minutes
	@$(venv)/bin/pytest api -m slow

faults: $(venv)/dev ## Kill, trace, starve and restart the service for half an hour; needs strace and the right to mount
	@KT_TEST_ROUNDS=50 KT_IMAGES_FAULTS=all $(venv)/bin/pytest -s -v api/tests/faults api/tests/database api/tests/views/test_listing.py

bucket-faults: $(venv)/dev ## Kill Ceph and the services on it for a quarter of an hour; needs Ceph's packages
	@KT_IMAGES_FAULTS=bucket $(venv)/bin/pytest -s -v api/tests/bucket_faults

lint: $(venv)/dev page ## Run ruff, mypy and the check of imports, and `make page`
	@$(venv)/bin/ruff check $(sources)
	@$(venv)/bin/ruff format --check $(sources)
	@$(venv)/bin/mypy --config-file api/pyproject.toml api/src
	@$(venv)/bin/lint-imports --no-logo --no-cache api/pyproject.toml

# The scripts of the gallery. What looks at them comes from npm; where that cannot be, this says so and goes on.
page: ## Check the scripts of the gallery with biome and tsc, where there is npm
	@cd api/tests/gallery && if ! command -v npm >/dev/null; then echo 'without npm, the scripts of the gallery are not linted'; \
	elif ! [ node_modules/.done -nt package.json ] && ! { npm install --silent && touch node_modules/.done; }; then \
		echo 'npm could not install biome and tsc: the scripts of the gallery are not linted'; \
	elif [ -d ../../src/kt_images/gallery ]; then npm run --silent lint; fi

format: $(venv)/dev ## Fix and format the code
	@$(venv)/bin/ruff check --fix $(sources)
	@$(venv)/bin/ruff format $(sources)

docs: $(venv)/dev ## Update the help texts in api/docs/client.md
	@$(python) api/tests/cli/helps.py

openapi: $(venv)/run ## Update openapi.json
	@$(python) -m aiohttp_pydantic.oas -o openapi.json kt_images.wsgi:app

constraints: $(venv)/bin/python ## Take the newest versions for the image of the container
	@$(python) -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --report - './api[server,cli,s3]' | $(python) -c "import json, sys; \
		found = [one['metadata'] for one in json.load(sys.stdin)['install'] if one['metadata']['name'] != 'kt-images']; \
		print('# The versions that the image of the container is built with. \`make constraints\` takes the newest.', \
		*sorted(f\"{one['name']}=={one['version']}\" for one in found), sep='\n')" > api/constraints.new
	@mv api/constraints.new api/constraints.txt

# Options: make bench ONLY='list filters' IMAGES=10000 ROUNDS=9
bench: $(venv)/bench ## Measure the service against its peers: api/benchmarks/README.md
	@cd api && ../$(python) -m benchmarks $(ONLY) $(IMAGES:%=--images %) $(ROUNDS:%=--rounds %)

screenshots: $(venv)/bench ## Make the pictures of the gallery in api/docs; needs Chromium
	@cd api && ../$(python) -m benchmarks.screenshots

clean: ## Remove the virtual environment; data/ is kept
	rm -rf $(venv)

# Uses the first Python that is new enough.
$(venv)/bin/python:
	@for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "creating $(venv) with $$candidate and installing, which takes a minute"; \
			$$candidate -m venv $(venv) && exit; \
			rm -rf $(venv); exit 1; \
		fi; \
	done; echo 'kt-images needs Python 3.11 or newer; if it is not on the PATH, set PYTHON=/path/to/python' >&2; exit 1

$(venv)/run: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(install) 'api[server,cli,embedded]'
	@touch $@

$(venv)/dev: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(install) 'api[dev]'
	@touch $@ $(venv)/run

$(venv)/bench: api/pyproject.toml api/requirements.txt | $(venv)/bin/python
	@$(install) 'api[bench]'
	@touch $@

# A copy of the package in the place of this tree, as `pip install './api[cli]'` leaves it, would run old code for ever.
installed := $(shell $(python) -I -c 'import kt_images; print(*kt_images.__path__)' 2>/dev/null)
ifneq ($(installed),$(CURDIR)/api/src/kt_images)
.PHONY: $(venv)/run $(venv)/dev $(venv)/bench
endif
