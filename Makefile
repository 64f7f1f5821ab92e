# Everything below needs git, make and Python 3.11 or newer; `make peers` needs Go, and Java with Maven for Nacos.
PYTHON ?= python3
# How many times as much `make long` simulates as `make test`.
EFFORT ?= 10
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCHMARKS := $(wildcard $(addprefix tests/benchmarks/,imports.py picks.py balancing.py http_clients.py metrics.py served.py gossip.py datagram.py growth.py nacos.py))

# Tests and benchmarks start processes by the hundred; each would compile the package once more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: venv demo test unit lint long parity screenshots fuzz fuzz-minute hostile hostile-minutes survival survival-minute reference simulations bench peers wordcloud wordcloud-full wordcloud-test clean
.DEFAULT_GOAL := test

venv: $(STAMP)

# Type checkers do not follow editable installs whose root is the package: they find it through a link.
$(STAMP): pyproject.toml setup.cfg Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, '$(PYTHON)' is not; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: atheris || \
	  echo "atheris has no package for this machine: fuzzing is not guided by coverage"
	mkdir -p $(VENV)/linked && ln -sfn ../.. $(VENV)/linked/pydoudou
	echo ../../../linked >$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/linked.pth
	touch $@

# The system of go-doudou's tutorial, in Python: docs/wordcloud.md.
$(VENV)/wordcloud: docs/examples/wordcloud/requirements.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

wordcloud: $(VENV)/wordcloud
	@$(BIN)/python docs/examples/wordcloud/run

$(VENV)/wordcloud-full: docs/examples/wordcloud/requirements-full.txt $(VENV)/wordcloud
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# The same with real parts, as far as they are on this machine; it says what is not.
wordcloud-full: $(VENV)/wordcloud-full
	@$(BIN)/python docs/examples/wordcloud/run --full

wordcloud-test: $(VENV)/wordcloud-full
	$(BIN)/python -m pytest $(wildcard tests/e2e/test_wordcloud*.py) --numprocesses 2 --dist loadfile --no-loadscope-reorder

demo: $(STAMP)
	@$(BIN)/pydoudou demo

# Many tests wait for real servers and for real time; a second process computes meanwhile. The order of the tests is
# another in each run; PYTEST_OPTIONS=--randomly-seed=N repeats one.
test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit tests/protocol -q

# What could go on for ever, for about an hour: simulated clusters and fuzzing; and what takes long: every server that a
# service may run on, twenty lives of each integration, outages of a minute, and the word cloud system under the load of
# the original's test. `make test` and `make fuzz-minute` do a little of the same.
LONG := tests/simulation $(addprefix tests/e2e/test_,servers.py servers_that_do_not_answer.py frameworks.py cycles.py registrar.py workers.py) \
  $(addprefix tests/e2e/test_wordcloud_,command.py load.py network.py full.py) \
  $(addprefix tests/interop/test_,go_consumer.py nacos_faults.py nacos_peers.py nacos_resources.py partition.py remote_configuration.py)
long: fuzz $(VENV)/wordcloud-full
	PYDOUDOU_EFFORT=$(EFFORT) $(BIN)/python -m pytest $(LONG) --numprocesses 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=docs/examples/third-party-driver $(BIN)/mypy -p pydoudou -m pydoudou_file
	$(BIN)/lint-imports

parity: $(STAMP)
	$(BIN)/python tests/protocol/parity.py

fuzz: $(STAMP)
	$(BIN)/python tests/protocol/fuzz.py
	$(BIN)/python tests/protocol/fuzz_guided.py

fuzz-minute: $(STAMP)
	$(BIN)/python tests/protocol/fuzz.py --seconds 40
	$(BIN)/python tests/protocol/fuzz_guided.py --seconds 20

hostile: $(STAMP)
	$(BIN)/python tests/e2e/hostile.py --seconds 600

hostile-minutes: $(STAMP)
	$(BIN)/python tests/e2e/hostile.py --seconds 120

# What callers notice of every common fault, next to an nginx: about four minutes; `survival-minute` is a short one.
survival: $(STAMP)
	$(BIN)/python tests/e2e/survival.py --seconds 60 --strict

survival-minute: $(STAMP)
	$(BIN)/python tests/e2e/survival.py --seconds 24

reference: $(STAMP)
	$(BIN)/python tests/support/api_page.py docs/reference/api.md
	$(BIN)/python tests/support/log_page.py docs/reference/log.md
	$(BIN)/python tests/support/metrics_table.py docs/metrics.md
	$(BIN)/python tests/support/settings_table.py docs/settings.md
	$(BIN)/python tests/support/file_reading.py docs/settings.md
	$(BIN)/python tests/support/client_table.py docs/clients.md

# The pictures of docs/page.md, in about two minutes; needs chromium.
screenshots: $(VENV)/wordcloud
	$(BIN)/python tests/support/screenshots.py docs
	$(BIN)/python tests/support/wordcloud_pictures.py docs

# About two minutes.
simulations: $(STAMP)
	$(BIN)/python tests/support/simulations_page.py docs/simulations.md

bench: $(STAMP)
	@for figures in $(BENCHMARKS); do echo "== $$figures"; $(BIN)/python $$figures || exit 1; done

peers:
	@tests/interop/build-peers

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
