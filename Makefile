# Everything runs in .venv; nothing is installed outside it but Debian's chromium, where it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check test-long bench clean

demo: .venv/installed
	$(BIN)/release publish demo --method random --sparsity 0.1 --local

test: .venv/dev chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not long"

test-long: .venv/dev chromium
	$(BIN)/python -m pytest -m long

.PHONY: chromium
chromium:
	@test -x /usr/bin/chromium || (apt-get update -qq && apt-get install -y -qq chromium)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv releases
