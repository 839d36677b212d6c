# Every chore has one target; CI calls the same ones. `make help` lists them.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3.12),$(shell command -v python3.13),python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
MODELS ?= models
# A process a core; each has TensorFlow in its memory, so that more than four help nobody.
PYTEST = $(BIN)/python -m pytest -n logical --maxprocesses=4
FAST = tests/integration/conformance tests/integration/test_client_*.py tests/unit

.DEFAULT_GOAL := help
.PHONY: help demo web test test-fast test-long test-versions check docs wheel bench up smoke down clean protos ci packages cluster cluster-e2e site

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@echo "environment: $(PYTHON) -> $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The stamps make a second run start at once; they are older than what they depend on after a change of pins.
$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing what 'make demo' needs (about 3 GB, once)"
	$(INSTALL) -e '.[exporter,server,client]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "installing what 'make test' and 'make check' need on top"
	$(INSTALL) -e '.[exporter,reuse,server,client,dev]'
	@touch $@

demo: $(VENV)/.demo  ## train, export, verify, serve, predict and compare with JAX, on this machine
	@$(BIN)/python -m bench.demo

web: $(VENV)/.demo  ## build the drawing page with its models (needs Node) and serve it on port 8080
	@$(BIN)/python -m web

# What the tests compare with TensorFlow.js takes its npm packages, where there is an npm.
web/node_modules/.package-lock.json: web/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix web --loglevel=error; \
	else echo "no npm: tests of TensorFlow.js and of the page will be skipped (Debian: apt install nodejs npm)"; fi

test: $(VENV)/.dev web/node_modules/.package-lock.json  ## run all tests (those that need Docker or Chromium say so when skipped)
	@$(PYTEST)

test-fast: $(VENV)/.dev  ## run the tests of parts, of the client and of the API's rules, but for the slow ones
	@$(PYTEST) -m 'not slow and not long' $(FAST)

test-long: $(VENV)/.dev web/node_modules/.package-lock.json  ## fuzz, kill and load the server and the exporter for two hours
	@$(BIN)/python -m pytest -m long

test-versions:  ## run the core tests with the oldest and the newest JAX and TensorFlow (Python 3.11 and 3.13)
	@$(PYTHON) scripts/versions.py

check: $(VENV)/.dev  ## lint, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ci:  ## run all that CI runs, on Debian or Ubuntu; installs what is missing
	.ci/run

packages:  ## install what the tests need of Debian's or Ubuntu's packages
	.ci/packages

cluster: $(VENV)/.dev  ## apply deploy/ to a Kubernetes API server, where there is one
	@$(BIN)/python -m scripts.cluster --if-there $(if $(CLUSTER),--kubeconfig $(CLUSTER))

cluster-e2e: $(VENV)/.dev  ## train, publish and serve in the cluster of the kubeconfig CLUSTER, which it changes
	@$(BIN)/python -m scripts.cluster.end_to_end --kubeconfig "$(CLUSTER)"

# From an empty build/: setuptools would take what an older build left there.
wheel: $(VENV)/.python  ## build the wheel that `pip install` takes, in dist/
	rm -rf build/lib
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

docs: $(VENV)/.dev  ## write docs/api.md and the table of docs/lowering.md anew
	@$(BIN)/python -m scripts.api_reference
	@$(BIN)/python -m scripts.lowering_coverage

.venv-site/.tools: constraints.txt
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip install --disable-pip-version-check -c constraints.txt mkdocs-material
	@touch $@

site: .venv-site/.tools  ## write the documentation as a site to build/site/pages
	@$(PYTHON) scripts/site.py
	@.venv-site/bin/mkdocs build --quiet

bench: $(VENV)/.dev  ## measure the ratios that the README quotes
	@$(BIN)/python -m bench

up:  ## train where needed, serve in containers with what this machine can run, and check (Docker)
	@scripts/stack up

smoke:  ## check the running container stack: predict over REST and gRPC, compare with JAX
	@scripts/stack check

down:  ## stop and remove the container stack, whatever its profile; the models stay
	@scripts/stack down

# With the oldest protobuf that pyproject.toml allows: its messages load in newer ones, too.
.venv-protos/.tools: constraints-oldest.txt
	$(PYTHON) -m venv .venv-protos
	.venv-protos/bin/python -m pip install --disable-pip-version-check -c constraints-oldest.txt grpcio-tools
	@touch $@

protos: .venv-protos/.tools  ## regenerate the wire messages from wire/*.proto
	.venv-protos/bin/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. wire/*.proto

clean:  ## remove the environment, caches and build results
	rm -rf $(VENV) .venv-oldest .venv-newest .venv-protos .venv-site web/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
