# Everything the project needs lives in .venv. constraints.txt pins all of it with hashes, but for
# torch: which build fits a machine (CPU, CUDA) is for its pip's settings to say, and each build has
# other hashes and other libraries, so torch is pinned by its version here and installed by itself.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 3000
TORCH := torch==2.13.0
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
CLUSTER := $(VENV)/.cluster

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: setup lock run test test-live setup-cluster test-cluster test-stores screenshots ui bench bench-video bench-search bench-cluster attack mutants lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name one with make PYTHON=python3.12")'
	@echo "setting up $(VENV): some minutes and gigabytes the first time, seconds later"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --no-deps --only-binary :all: --requirement constraints.txt
	@$(PIP) install --only-binary :all: $(TORCH)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

# Writes constraints.txt from pyproject.toml, and beside it what the extra cluster and its tests add:
# what is pinned stays, what is new is added. To take
# newer versions: make lock LOCK=--upgrade. The override leaves torch out (see above).
lock: setup
	@$(PIP) install uv
	@echo 'torch ; python_version < "3"' >$(VENV)/without-torch.txt
	@$(BIN)/uv --quiet pip compile pyproject.toml --extra dev --group lock $(LOCK) \
		--universal --python-version 3.11 --generate-hashes --override $(VENV)/without-torch.txt \
		--custom-compile-command 'make lock' --output-file constraints.txt >/dev/null
	@$(BIN)/uv --quiet pip compile pyproject.toml --extra cluster --group cluster-tests --constraint constraints.txt \
		--universal --python-version 3.11 --generate-hashes --override $(VENV)/without-torch.txt \
		--custom-compile-command 'make lock' --output-file $(VENV)/cluster.txt >/dev/null
	@awk 'match($$0, /^[a-z0-9._-]+==/) { name = substr($$0, 1, RLENGTH); \
		if (FNR == NR) known[name]; skip = name in known } FNR != NR && !skip' \
		constraints.txt $(VENV)/cluster.txt >constraints-cluster.txt

run: setup
	@$(BIN)/fr-ensemble run

test: setup
	@$(BIN)/python -m pytest -n 2 -m "not live and not cluster"

# Real services, killed and started again, and the UI in Chromium: some minutes.
test-live: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m live

# Ray over network namespaces, a real S3 server and PostgreSQL, killed: minutes. What this machine
# does not permit is skipped and says why.
test-cluster: setup-cluster
	@$(BIN)/python -m pytest -m cluster

# Of these what a loopback is enough for: the S3 server and PostgreSQL, killed and started again.
test-stores: setup-cluster
	@$(BIN)/python -m pytest -m cluster --ignore fr_ensemble_tests/cluster/test_topology.py fr_ensemble_tests/cluster

setup-cluster: $(CLUSTER)

$(CLUSTER): $(STAMP) constraints-cluster.txt
	@$(PIP) install --require-hashes --no-deps --only-binary :all: \
		--requirement constraints-cluster.txt
	@$(BIN)/python -m pip check
	@touch $@

screenshots: setup
	@FR_ENSEMBLE_SCREENSHOTS=docs/images $(BIN)/python -m pytest -m browser

ui: setup
	@exec $(BIN)/fr-ensemble ui --port $(PORT)

bench: setup
	@$(BIN)/python -m benchmarks.training

bench-video: setup
	@$(BIN)/python -m benchmarks.generation $(CLIPS)

# CELLS=… to train on others than the bundled ones, TRUTH=… with every whole quality measured.
bench-search: setup
	@$(BIN)/python -m benchmarks.search $(CELLS) $(if $(TRUTH),--truth $(TRUTH))

# Root and iproute2 are needed; ONLY=nodes for one of overhead, nodes, requests, growth.
bench-cluster: setup-cluster
	@$(BIN)/python -m benchmarks.cluster $(if $(ONLY),--only $(ONLY))

# Thousands of odd inputs and 200 killed runs: most of an hour on two cores.
attack: setup
	@$(BIN)/python -m fr_ensemble_tests.attack $(ATTACK)

# The code, changed in one place at a time: does a test notice? Of one room or module alone:
# make mutants MUTANTS=gate/rule.py. The tool isn't locked with the rest: a part of it comes as source
# alone, and set-up takes nothing but wheels.
mutants: setup
	@$(PIP) install cosmic-ray==8.7.0
	@$(BIN)/python -m fr_ensemble_tests.mutants $(MUTANTS)

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
