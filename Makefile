# Everything the project needs lives in .venv, pinned by constraints.txt.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 3000
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

.PHONY: setup run test test-live screenshots ui bench bench-video bench-search lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name one with make PYTHON=python3.12")'
	@echo "setting up $(VENV): some minutes and gigabytes the first time, seconds later"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: setup
	@$(BIN)/fr-ensemble run

test: setup
	@$(BIN)/python -m pytest -n 2 -m "not live"

# Real services, killed and started again, and the UI in Chromium: some minutes.
test-live: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m live

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

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
