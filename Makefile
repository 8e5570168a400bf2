# Every verb sets up what it needs by itself, in .venv; nothing global is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# With what it compiles kept: rewriting the tests' assertions anew takes each of its processes half its time to start.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -q
CLIENT := clients/typescript
CLIENT_STAMP := $(CLIENT)/node_modules/.installed

.PHONY: setup demo test drills again client check fmt bench clean
.DEFAULT_GOAL := help

help: ## show the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; takes a minute)"
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*p["dependencies"], *p["optional-dependencies"]["standin"], *p["optional-dependencies"]["postgres"], *p["optional-dependencies"]["otel"], *p["optional-dependencies"]["dev"], sep="\n")' > $(VENV)/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $(STAMP)

setup: $(STAMP) ## create .venv with everything the other verbs need

demo: $(STAMP) ## run test_input.json through the handler, on COMFY_HOST or on the stand-in
	@$(BIN)/python -m api demo

test: $(STAMP) ## run the tests
	@$(PYTEST) -n 5 --dist loadfile
	@if command -v npm >/dev/null; then $(MAKE) -s $(CLIENT_STAMP) && cd $(CLIENT) && npx vitest run; \
	  else echo "No npm: the tests of the TypeScript client are left out"; fi

drills: $(STAMP) ## run the long drills that `make test` leaves out
	@$(PYTEST) -n 2 --dist loadfile -m drill

again: $(STAMP) ## run those tests again, one by one, that failed last
	@$(PYTEST) --last-failed --last-failed-no-failures none

$(CLIENT_STAMP): $(CLIENT)/package-lock.json
	@cd $(CLIENT) && npm ci --no-audit --no-fund --silent && touch node_modules/.installed

client: $(STAMP) $(CLIENT_STAMP) ## build the TypeScript client
	@cd $(CLIENT) && npm run --silent check && npm run --silent build

check: $(STAMP) ## format, lint, types and import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fmt: $(STAMP) ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## the long measurements
	@for b in bench/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

clean: ## remove what the other verbs made
	@rm -rf $(VENV) $(CLIENT)/node_modules $(CLIENT)/dist demo_output test_artifacts .pytest_cache .mypy_cache .ruff_cache
