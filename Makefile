# Everything runs in .venv; nothing is installed outside it but Debian's chromium and fuse3, where they are missing.
PYTHON ?= python3
BIN := .venv/bin

# Types are checked beside the tests, which wait now and then. Two test processes; torch computes with one thread in each, or they would take the cores from each other. Bytecode is
# kept wherever that is switched off: pytest rewrites each test file for 8 s otherwise, in each process and each run.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

.PHONY: demo test test-long test-newest bench fuzz docs clean

demo: .venv/installed
	$(BIN)/release publish demo --method random --sparsity 0.1 --local

test: .venv/dev chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; $(PYTEST) --dist worksteal -m "not long"; tests=$$?; wait $$types && exit $$tests

test-long: .venv/dev chromium fuse
	$(PYTEST) --dist worksteal -m long

# The newest versions that pyproject.toml allows, in an environment made for this; PYTHON=python3.13 tries another Python.
test-newest:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[dev]"
	.venv-newest/bin/python --version
	.venv-newest/bin/python -m pip freeze
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not long"

# The pages under docs/ as a site in site/; a link that leads nowhere stops it.
docs: .venv/dev
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Every ratio of docs/performance.md, which it writes; BENCH="prune verify" names some, BENCH_FULL=1 takes the large sizes. Leave the machine alone meanwhile.
bench: .venv/dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m benchmarks.page $(BENCH)

# Hours; the runs that are due of every reader of outside bytes. atheris has no wheel for every system.
fuzz: .venv/dev
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	nice -n 10 $(BIN)/python -m tests.fuzz $(TARGETS)

# A file system of the tests' own, without locks: what it takes from Debian, where that can be had.
.PHONY: fuse
fuse:
	@(command -v fusermount3 && pkg-config --exists fuse3) >/dev/null 2>&1 || (apt-get update -qq && apt-get install -y -qq fuse3 libfuse3-dev pkg-config) \
		|| echo "No fuse3: the test of a file system without locks will say that it is skipped."

.PHONY: chromium
chromium:
	@test -x /usr/bin/chromium || (apt-get update -qq && apt-get install -y -qq chromium)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo]"
	@touch $@

.venv/dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv .venv-newest releases site
