# Everything a developer runs. Each target makes what it needs: a fresh machine needs only Python 3.10+, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Three processes, each with whole files of tests: most of them wait most of the time.
PARALLEL = --numprocesses 3 --dist loadfile
# What the smoke run on the other interpreters looks at: every room on the way of a call, and the programs.
SMOKE = tests/wire tests/codec tests/schema tests/proto/test_compile.py tests/channel tests/server tests/services \
	tests/client/test_blocking_connection.py tests/client/test_asyncio.py tests/client/test_invoke.py tests/client/test_stream.py tests/examples/test_examples.py::test_demo \
	tests/test_readme.py::test_the_commands

.PHONY: demo test smoke lint docs playground bench conformance clean

# The demo needs only the core; the developers' tools are added by the targets that use them.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/developer: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]' --group dev
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

test: $(VENV)/developer
	$(BIN)/python -m pytest $(PARALLEL)
	cd grpc-module && $(CURDIR)/$(BIN)/python -m pytest -q

smoke: $(VENV)/developer
	HYPOTHESIS_PROFILE=smoke $(BIN)/python -m pytest -q $(PARALLEL) -m "not slow" $(SMOKE)

lint: $(VENV)/developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd grpc-module && $(CURDIR)/$(BIN)/mypy

# The site, pages and reference: build/site/index.html. A warning is an error, a link that leads nowhere among them.
docs: $(VENV)/developer
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	$(BIN)/python -m sphinx -q -E -W --keep-going -b html docs build/site
	$(BIN)/python -m docs.check build/site

# The playground, a static page: build/playground. Needs npm, which has Pyodide.
playground: $(VENV)/developer
	$(BIN)/python -m playground.build

bench: $(VENV)/developer
	$(BIN)/python -m pip install --quiet --disable-pip-version-check grpclib
	$(BIN)/python -m benchmarks.calls
	$(BIN)/python -m benchmarks.layers
	test -n "$(SHORT)" || $(BIN)/python -m benchmarks.grpc_module

conformance: $(VENV)/developer
	conformance/run $(CURDIR)/$(BIN)/python

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
