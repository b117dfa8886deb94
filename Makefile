# The commands of this repository. `make` alone prints them.
# Everything runs in .venv, which `make setup` makes from the hashed lock files.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first of these that is CPython 3.11 or newer and can make a virtual environment.
PYTHON ?= $(shell for p in python3 python3.13 python3.14 python3.12 python3.11 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock' --upgrade

.PHONY: help setup dev test test-processes test-previous test-browser test-chaos test-deploy test-image check docs bench lock fmt migration \
	rename feature remove-sample target-remove update clean
.PHONY: test-starter  # sample

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36mmake %-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.stamp  ## make .venv and install the locked dependencies

.venv/.stamp: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo 'make: no Python 3.11 or newer with the venv module was found.' \
		'Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version) (about a minute the first time) …"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

dev: setup  ## run everything here: PostgreSQL, Redis, web with auto-reload
	@exec $(BIN)/python -m service dev

test: setup  ## run the fast suite, against real PostgreSQL and Redis
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadscope --no-loadscope-reorder

test-processes: setup  ## make dev, worker and scheduler: started, stopped and starved
	@$(BIN)/python -m pytest tests/processes --numprocesses 2 --dist loadscope

test-previous: setup  ## the tests of the release before, on the schema of this code (PREVIOUS=v1.2)
	@$(BIN)/python -m pytest tests/previous -rsP --show-capture=stdout

test-browser: setup  ## look at the pages in headless Chromium (Debian: chromium, chromium-driver)
	@$(BIN)/python -m pytest tests/browser

test-chaos: setup  ## stop, crash and freeze everything under load (needs PgBouncer and nginx)
	@$(BIN)/python -m pytest tests/chaos --numprocesses 2 --dist loadscope -rP --show-capture=stdout

test-deploy: setup  ## build the image, run the stack, release under load (needs a Docker engine)
	@$(BIN)/python -m pytest tests/deploy/docker tests/deploy/platforms --numprocesses 2 --dist loadscope
	@$(BIN)/python -m pytest tests/deploy/servers --numprocesses 2 --dist loadscope  # target: vps

# sample
test-starter: setup  ## the template as it is cloned and made one's own, in copies (15 minutes)
	@$(BIN)/python -m pytest tests/clones --numprocesses 2 --dist loadscope
# end of sample

test-image: setup  ## build the image, boot it, smoke-test it (needs a Docker engine)
	@$(BIN)/python -m pytest tests/deploy/docker/test_image.py tests/deploy/docker/test_first.py

check: setup  ## linters, types, import layers, migrations: all that needs no Docker
	@$(BIN)/python -m tests.check

docs: setup  ## make the documentation's site, .site/index.html: strict, and read without a server
	@rm -rf .site
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --nitpicky --conf-dir docs . .site
	@echo "$(CURDIR)/.site/index.html"

bench: .venv/.bench  ## measure against bare Flask and other stacks (25 minutes); 1 when over budget
	@$(BIN)/python -m bench $(if $(wildcard docs/performance.md),--page)

# What measures needs more in .venv; the servers have an environment without development's.
.venv/.bench: .venv/.stamp requirements.txt bench/requirements.txt
	@$(PIP) install --no-deps --require-hashes -r bench/requirements.txt
	@$(BIN)/python -m venv --clear --without-pip .venv/bench
	@$(PIP) --python .venv/bench install --no-deps --require-hashes -r requirements.txt -r bench/requirements.txt
	@touch $@

lock: setup  ## make the requirements.txt of users, makers and benchmarks anew from pyproject.toml
	@$(UV_COMPILE) pyproject.toml --group dev -o requirements-dev.txt
	@$(UV_COMPILE) pyproject.toml --constraint requirements-dev.txt -o requirements.txt
	@$(UV_COMPILE) --group bench --constraint requirements-dev.txt -o bench/requirements.txt

migration: setup  ## write a revision of what the models have and the schema has not: m="add things"
	@$(BIN)/python -m service migration "$(m)"

fmt: setup  ## format the code and apply safe fixes
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# As it was typed, whatever characters it has; never what the shell's own environment calls so.
ifneq ($(origin NAME),command line)
NAME :=
endif

ifneq ($(and $(DRY_RUN),$(filter rename feature remove-sample target-remove,$(MAKECMDGOALS))),)
$(error DRY_RUN is of `make update` alone: `git reset --hard HEAD~1` takes back what this one does)
endif

rename: setup  ## give the product another name, in every place: NAME=my-product
	@$(BIN)/python -m starter rename "$$NAME"

feature: setup  ## write a feature, its revision and tests: NAME=orders (SINGULAR=order)
	@$(BIN)/python -m starter feature "$$NAME" "$$SINGULAR"

remove-sample: setup  ## take service/posts out, with what needs it (DEPLOYED=1: a database has it)
	@$(BIN)/python -m starter remove-sample $(if $(DEPLOYED),--deployed)

target-remove: setup  ## take out a place that nobody deploys to: TARGET=fly
	@$(BIN)/python -m starter target-remove "$$TARGET"

update: setup  ## merge the template's later changes: UPSTREAM=url (once) DRY_RUN=1 BRANCH= SINCE=
	@$(BIN)/python -m starter update --upstream "$$UPSTREAM" --branch "$$BRANCH" --since "$$SINCE" \
		$(if $(DRY_RUN),--dry-run)

clean:  ## remove .venv, .dev (the development data!) and caches
	rm -rf .venv .dev .site .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .coverage
