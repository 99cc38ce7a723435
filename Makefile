# This file has the commands for users and maintainers. Each target installs what it needs. `make help` lists
# the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# These two files say which packages are installed, so the second run starts at once. READY is for tests and
# checks, READY_RUN is for all other targets. If READY exists, READY_RUN is the same file.
READY := $(VENV)/.ready
READY_RUN = $(if $(wildcard $(READY)),$(READY),$(READY:%=%-run))
# Only `make mutants` and `make coverage` install the packages that measure the tests.
MEASURE := $(VENV)/.ready-measure
WEB := web/node_modules/.ready tests/deploy/node_modules/.ready tests/integrate/node_modules/.ready

# The names of the variables that the user set on make's command line. The sandbox accepts some variables
# only from the command line. Only the names are passed on, because values could break the command.
override GIVEN = $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
override SANDBOX_GIVEN = --given='$(subst ','\'',$(GIVEN))' --make $$PPID

# The targets that `make help` shows.
HASH := \#
HASHES := $(HASH)$(HASH)
HERE := $(firstword $(MAKEFILE_LIST))
TARGETS := $(shell awk -F: '/^[a-z-]+:.*$(HASHES) / {print $$1}' $(HERE))
# `make help` lists the targets below the line "# For maintainers" under its second heading.
override HELP = awk -F ':.*$(HASHES) ' 'BEGIN {print "For users and operators:"} /^$(HASH) For maintainers/ {print "\nFor those who change the project:"} /^[a-z-]+:.*$(HASHES) / {printf "  make %-13s %s\n", $$1, $$2}' $(HERE)
.DEFAULT_GOAL := help
.PHONY: $(TARGETS)
# An unknown target stops make before make does anything, even with -n, and even if a file has the name of
# the target.
UNKNOWN := $(filter-out $(TARGETS) %/.ready %/.ready-run %/.ready-measure,$(MAKECMDGOALS))
ifneq ($(UNKNOWN),)
# In zsh, the shell of macOS, a comment that is typed after a command is part of the command.
ifneq ($(filter $(HASH)%,$(UNKNOWN)),)
$(error Your shell passed the comment after $(HASH) to make. Leave out the comment, or run: setopt interactivecomments)
endif
$(shell $(HELP) >&2)
$(error There is no target $(firstword $(UNKNOWN)): see the list above)
endif

help: ## list the targets
	@$(HELP)

PINS := functions/sts_token/requirements.txt requirements-build.txt requirements-run.txt pyproject.toml
# This line must be valid in older Pythons too. ops/install.py makes the other checks.
NEW_ENOUGH = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.10")'

$(VENV)/.ready-run: $(PINS)
	$(NEW_ENOUGH)
	@$(PYTHON) -m ops.install pip $(VENV) requirements-run.txt "make run"
	@touch $@

$(READY): requirements-dev.txt $(PINS)
	$(NEW_ENOUGH)
	@$(PYTHON) -m ops.install pip $(VENV) requirements-dev.txt "tests and checks"
	@touch $@

$(MEASURE): requirements-measure.txt requirements-dev.txt $(PINS)
	$(NEW_ENOUGH)
	@$(PYTHON) -m ops.install pip $(VENV) requirements-measure.txt "make mutants and make coverage"
	@touch $(READY) $@

# If npm is missing or fails, make continues. The tests then say what they leave out.
%/node_modules/.ready: %/package.json %/package-lock.json %/.npmrc
	@if ! command -v npm >/dev/null; then :; \
		elif $(PYTHON) -m ops.install npm $*; then touch $@; \
		else echo "Continuing without it." >&2; fi

run: $(READY_RUN) ## start the sandbox: [PORT=9000] [AUTH=jwt] [LAN=1] [PUBLIC_ENDPOINT=closed] [CLOUD=1], or any variable of docs/configuration.md
	@exec $(BIN)/python -m sandbox run $(if $(filter no,$(BUILD_PAGE)),,--build-page) $(SANDBOX_GIVEN)

token: $(READY_RUN) ## print one token as JSON: [AUTH=jwt CALLER=alice] [CLOUD=1]
	@exec $(BIN)/python -m sandbox token $(SANDBOX_GIVEN)

account-key: $(READY_RUN) ## print the key of the sandbox's account, which may do everything there
	@$(BIN)/python -m sandbox account-key $(SANDBOX_GIVEN)

login: $(READY_RUN) ## print a login for your deployment, signed with its JWT_SECRET: CALLER=alice [SECONDS=900]
	@$(BIN)/python -m ops.login

jwks: $(READY_RUN) ## find where your provider publishes the keys of its logins: ISSUER=https://login.example.com
	@$(BIN)/python -m ops.jwks

roles: $(READY_RUN) ## print the policies and trust policies of the two roles as JSON, for the RAM console: [DOCUMENT=upload-policy]
	@$(BIN)/python -m ops.roles

explain: $(READY_RUN) ## show what a token may do: BUCKET_NAME=my-bucket CALLER=alice
	@$(BIN)/python -m ops.explain

import-config: $(READY_RUN) ## make .env from the vendor's config.json: CONFIG=config.json
	@$(BIN)/python -m ops.import_config

web: ## build the upload page into dist/web, for static hosting; needs Node.js and npm
	@$(PYTHON) -m sandbox.page_build

doctor: $(READY_RUN) ## say what is missing or wrong before a deploy
	@$(BIN)/python -m ops.doctor

smoke: $(if $(FC2),$(READY),$(READY_RUN)) ## check a deployed function as its clients see it: URL=https://... [CALLER=alice]
	@$(BIN)/python -m ops.smoke

measure-cold: $(READY_RUN) ## measure the cold start of a deployed function: URL=https://... [CALLS=5] [HOW=idle]; it prints the price first
	@$(BIN)/python -m ops.measure_cold

conform: $(READY_RUN) ## test our assumptions about the cloud: on a sandbox, or on your own account (CLOUD=1)
	@$(BIN)/python -m ops.conform

build: $(READY_RUN) ## make the package that s.yaml deploys, and run it once: [BYTE_CODE=no]
	@$(BIN)/python -m ops.build

template: $(READY_RUN) ## make dist/template.yml, the whole deployment in one file
	@$(BIN)/python -m ops.template

clean: ## remove what the sandbox stored
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m sandbox clean $(SANDBOX_GIVEN); else rm -rf .sandbox; fi

# For maintainers

test: $(READY) $(WEB) ## run the tests
	@$(BIN)/python -m pytest -n 4 --dist loadscope -m "not slow and not chaos"

test-web: $(READY) $(WEB) ## run the slow tests: browsers, compilers, Serverless Devs, packages, many processes, many examples
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "slow and not chaos"

screenshots: $(READY) $(WEB) ## take screenshots of the page, two of them for README; needs Chromium
	@PYTHONPATH=tests/support $(BIN)/python -m screenshots

soak: $(READY) $(WEB) ## send mixed traffic to the sandbox for ten minutes: [MINUTES=10]
	@PYTHONPATH=tests/support $(BIN)/python -m soak

fuzz: $(READY) ## run the property tests with at least ten times as many examples, and print a table of the examples
	@echo "Hypothesis runs 1,000 examples of each property, but 10,000 examples of each property that the table counts by kind. It also runs 120,000 events, and a million pairs of a policy and an access. This takes about 25 minutes on 2 cores. The table at the end counts the examples of each kind. The run fails if a kind has too few examples (tests/support/tried.py)."
	@$(BIN)/python -m pytest -n 4 -m hypothesis --hypothesis-profile=long --durations=10

chaos: $(READY) ## inject faults between all parts, and print the number of tries and the result for each fault
	@PYTHONPATH=tests/support:functions/sts_token $(BIN)/python -m tests.chaos -n 4

mutants: $(MEASURE) ## change the code of a room a thousand times, and list the changes that its tests miss: ROOM=login [SURVIVORS=1]; up to 20 minutes
	@PYTHONPATH=tests/support $(BIN)/python -m mutants

# The folders and files in tests/ that test the function.
OF_FUNCTION := callback grant http login routes settings signing token
OF_FUNCTION += $(patsubst %,test_%.py,app app_logins encoding index limits oss_client past_faults request_log secrets)

coverage: $(MEASURE) $(WEB) ## print the branches of functions/ that its tests do not run; fails under 97 %
	@mkdir -p build/coverage
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 4 --dist loadscope -q -m "not slow and not chaos" $(OF_FUNCTION:%=tests/%)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(READY) ## check format, lint and types, without changes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## format the code, and fix what lint can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY_RUN) ## make the generated pages: configuration.md and errors.md in both languages, assumptions.md, tables of sizing.md
	@$(BIN)/python -m ops.reference

bench: $(READY) ## measure the deployed package, and SDKs beside it: [QUICK=1] [WRITE=1]; BASE=commit compares with that commit only
	@exec $(BIN)/python -m $(if $(BASE),bench.compare,bench)

burst: $(READY) ## measure 100 new tokens at once, and up to 90 a second, on both runtimes; about 8 minutes
	@$(BIN)/python -m bench.burst

core: $(READY) ## show which of our modules each route loads, with lines and ms; WRITE=1 writes the golden file
	@$(BIN)/python -m bench.core

lock: ## write the locks from requirements*.in: [UPGRADE=1] or [UPGRADE=name,name] for newer versions
	$(NEW_ENOUGH)
	@$(PYTHON) -m ops.lock

audit: ## ask the advisory service OSV about every locked package
	$(NEW_ENOUGH)
	@$(PYTHON) -m ops.audit

release: $(READY_RUN) ## make dist/release, the files for the page of a release: [RELEASE_URL=https://…] [SOURCE_URL=https://…]
	@$(BIN)/python -m ops.release
