# What people run. Each target sets up what it needs; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A stamp, so that the second run starts at once.
READY := $(VENV)/.ready
WEB := web/node_modules/.ready tests/deploy/node_modules/.ready

# The names of the variables on make's own command line, for the sandbox, which takes some from there
# only. Just names: what is in the values cannot break the command.
override GIVEN = $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
override SANDBOX_GIVEN = --given='$(subst ','\'',$(GIVEN))' --make $$PPID

.DEFAULT_GOAL := help
.PHONY: help run token account-key explain import-config build template web doctor smoke conform test test-web fuzz check format docs bench core clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.txt functions/sts_token/requirements.txt pyproject.toml
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.10")'
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module? On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "token_service.pth").write_text("$(CURDIR)/functions/sts_token\n")'
	@touch $@

# Without npm, or where this fails, the tests say what they leave out.
%/node_modules/.ready: %/package.json %/package-lock.json %/.npmrc
	@if command -v npm >/dev/null; then \
		echo "Setting up $*, npm packages for the tests (once, a few seconds) ..."; \
		{ cd $* && npm ci --silent && touch node_modules/.ready; } || \
		echo "npm ci failed in $*; going on without. To see why: cd $* && npm ci" >&2; \
	fi

run: $(READY) ## start the sandbox: [PORT=9000] [AUTH=jwt] [PUBLIC_ENDPOINT=closed] [CLOUD=1], or any variable of docs/configuration.md
	@exec $(BIN)/python -m sandbox run $(if $(filter no,$(BUILD_PAGE)),,--build-page) $(SANDBOX_GIVEN)

token: $(READY) ## print one token as JSON: [AUTH=jwt CALLER=alice] [CLOUD=1]
	@exec $(BIN)/python -m sandbox token $(SANDBOX_GIVEN)

account-key: $(READY) ## print the key of the sandbox's account, which may do everything there
	@$(BIN)/python -m sandbox account-key

explain: $(READY) ## show what a token may do: BUCKET_NAME=my-bucket CALLER=alice
	@$(BIN)/python -m ops.explain

import-config: $(READY) ## turn the vendor's CONFIG=config.json into .env
	@$(BIN)/python -m ops.import_config

web: ## build the page that uploads into dist/web, for static hosting; needs Node.js and npm
	@$(PYTHON) -m sandbox.page_build

doctor: $(READY) ## before a deploy: say what is missing or wrong
	@$(BIN)/python -m ops.doctor

smoke: $(READY) ## check a deployed function as its clients see it: make smoke URL=https://...
	@$(BIN)/python -m ops.smoke

conform: $(READY) ## try what is believed of the cloud: on a sandbox; on your own account: CLOUD=1
	@$(BIN)/python -m ops.conform

test: $(READY) $(WEB) ## run the tests
	@$(BIN)/python -m pytest -n 4 --dist loadscope -m "not slow_web"

test-web: $(READY) $(WEB) ## run what takes long in a browser
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m slow_web

fuzz: $(READY) ## hunt for what the tests have not met: 10,000 examples a property
	@echo "Hypothesis with 10,000 examples a property, where a test names no number of its own, and a million pairs of policies and access: about 15 minutes on 2 cores."
	@$(BIN)/python -m pytest -n 4 -m hypothesis --hypothesis-profile=long --durations=10

check: $(READY) ## format, lint and types, changing nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## format the code and mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY) ## make docs/configuration.md, README's table, docs/assumptions.md, docs/errors.md
	@$(BIN)/python -m ops.reference

bench: $(READY) ## measure the function beside its peers; beside an earlier one: BASE=commit
	@if [ -n "$$BASE" ]; then exec $(BIN)/python -m bench.compare; fi; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt && \
		exec $(BIN)/python -m bench

core: $(READY) ## what each route loads of ours, in lines and ms; WRITE=1: as its golden file
	@$(BIN)/python -m bench.core

build: $(READY) ## make the package that s.yaml deploys, and serve it once
	@$(BIN)/python -m ops.build

template: $(READY) ## make dist/template.yml, the whole deployment in one file
	@$(BIN)/python -m ops.template

clean: ## remove what the sandbox stored
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m sandbox clean; else rm -rf .sandbox; fi
