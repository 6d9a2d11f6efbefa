# make demo   sets up .venv and runs the main job on sample_data/
# make test   sets up .venv and runs all tests that need no system packages
# make lint   ruff, strict type checks, and whether the tables of the documentation are those of the code
# make tables writes these tables
# make screenshot   the picture of a page in the documentation, with Chromium
# make docs   builds the documentation into site/; a link to nothing is an error
# make slow   all tests, including those that take minutes
# make kill   kills runs at any moment and resumes them, ROUNDS times at each destination, and ROUNDS times for each kind of job
# make sweep  failing calls and signals at any point of a run; changed bytes in tables
# make race   two feeds of one data source at the same time, ROUNDS times at each destination (ROUNDS=50 is enough)
# make fuzz   the compiled loops against slow twins, between unreadable pages, for SECONDS=60
# make sanitize   the same, and the tests of the loops, with AddressSanitizer and UndefinedBehaviorSanitizer of COMPILER=gcc
#             (the portable way of the loops) or clang-16 (that of the package); `make sanitizers` does both
# make spark  tests on a cluster of Spark (Java 17 or later), which make test leaves out: they share one cluster
# make wheels builds the sdist and wheels for all machines into dist/, and checks them
# make platforms   the examples for schedulers and containers: Airflow is installed into .cache, the image is built, by root
# make hour   the wheel in an empty environment, and there all commands of the tutorials, as a new user follows them
# make lowest the lowest versions of what the package needs, as pyproject.toml has them, with a part of the tests
# make pythons   other versions of Python that are installed, with the newest versions, and the same part of the tests
# make check  compares 1,000,000 lines with those of a plain Python script
# make bench-small   against the floor, 100,000 rows; fails only on a wrong line
# make bench  all benchmarks, in two to three hours; make bench SCALE=0.01 for a trial

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_FLAGS ?= -n auto
SCALE ?= 1
RUNS ?= 3
ROUNDS ?= 200
SECONDS ?= 60
SHARE ?= 0.15
SPARK_FLAGS ?=
# Several processes of tests would start a cluster each.
WITHOUT_SPARK := --ignore-glob '*/test_spark*'
# Versions of Python beside that of the continuous integration.
PYTHONS ?= 3.12 3.13
# Where what builds the package is installed, for the tests, it is not downloaded again.
IN_PLACE = $$($(BIN)/python -c "import editables, hatchling, ziglang" 2>/dev/null && echo --no-build-isolation)
COMPILER ?= gcc
SANITIZED := $(VENV)/sanitized-$(notdir $(COMPILER)).so
RUNTIMES := $(if $(findstring clang,$(COMPILER)),libclang_rt.asan-$(shell uname -m).so,libasan.so libubsan.so)
SANITIZE = AAM_KERNEL=$(CURDIR)/$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$(foreach runtime,$(RUNTIMES),$$($(COMPILER) -print-file-name=$(runtime)))"

.PHONY: demo docs screenshot fuzz sanitize sanitizers wheels hour platforms spark lowest pythons test lint format tables slow kill race sweep check bench-small bench clean

$(VENV)/.ready: pyproject.toml hatch_build.py $(wildcard converter/kernel/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . $(IN_PLACE)
	touch $@

# A separate stamp: a first run needs none of the servers that tests start.
$(VENV)/.dev-ready: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group test --group lint
	touch $@

demo: $(VENV)/.ready
	$(BIN)/aam-inbound convert sample_data/crm.toml
	@echo
	@echo "The first lines of what was written:"
	@gzip -dc "$$(ls -t out/*.sync.1.gz | head -n 1)" 2>/dev/null | head -n 3

test: $(VENV)/.dev-ready
	$(BIN)/python -m pytest $(PYTEST_FLAGS) $(WITHOUT_SPARK)
	AAM_KERNEL=off $(BIN)/python -m pytest $(PYTEST_FLAGS) $(WITHOUT_SPARK) --share $(SHARE)

slow: $(VENV)/.dev-ready
	$(BIN)/python -m pytest --slow

KILLS := folder s3 ftp sftp machines $(foreach job,pgp route gathered delta,$(addsuffix .$(job),folder s3 machines))

kill: $(addprefix kill-,$(KILLS))

kill-%: $(VENV)/.dev-ready
	$(BIN)/python -m tests.kill $(basename $*) $(addprefix --job ,$(patsubst .%,%,$(suffix $*))) --rounds $(ROUNDS)

sweep: $(VENV)/.dev-ready
	$(BIN)/python -m tests.sweep_faults
	$(BIN)/python -m tests.sweep_signals
	$(BIN)/python -m tests.sweep_bytes

race: $(VENV)/.dev-ready
	for place in folder ftp vsftpd sftp openssh s3 localstack; do \
		$(BIN)/python -m tests.race $$place --rounds $(ROUNDS) || exit 1; done

fuzz: $(VENV)/.dev-ready
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# What leaks is Python's own: it frees little at its end.
sanitize: $(SANITIZED)
	$(SANITIZE) $(BIN)/python -m pytest -p no:xdist tests/test_kernel*.py tests/test_loops*.py
	$(SANITIZE) $(BIN)/python -m tests.fuzz --seconds $(SECONDS)

sanitizers: $(addprefix sanitize-,gcc clang-16)

sanitize-%:
	$(MAKE) sanitize COMPILER=$*

$(SANITIZED): $(VENV)/.dev-ready hatch_build.py $(wildcard converter/kernel/*.[ch])
	CC=$(COMPILER) $(BIN)/python hatch_build.py $@ -O1 -g -Werror -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined $(if $(findstring clang,$(COMPILER)),-shared-libasan)

wheels: $(VENV)/.dev-ready
	$(BIN)/python -m tests.wheels dist

hour: $(VENV)/.dev-ready
	$(BIN)/python -m pip install --quiet --group environments
	$(BIN)/python -m tests.hour

platforms: $(VENV)/.dev-ready .cache/airflow/.ready
	$(BIN)/python -m pip install --quiet --group platforms
	REQUIRE_SERVERS=1 $(BIN)/python -m pytest --slow tests/test_platforms.py tests/test_guides.py

.cache/airflow/.ready:
	$(PYTHON) -m venv .cache/airflow
	.cache/airflow/bin/python -m pip install --quiet "apache-airflow>=3.1,<4"
	touch $@

# A separate stamp: pyspark takes 450 MB.
$(VENV)/.spark-ready: $(VENV)/.dev-ready
	$(BIN)/python -m pip install --quiet --group spark
	touch $@

spark: $(VENV)/.spark-ready
	$(BIN)/python -m pytest -p no:xdist $(SPARK_FLAGS) tests/test_spark*.py

# Each lower bound is tried by a test that uses what has it (tests/pythons.py).
lowest: $(VENV)/.dev-ready
	$(BIN)/python -m pip install --quiet --group environments
	$(BIN)/python -m tests.pythons lowest

pythons: $(VENV)/.dev-ready
	$(BIN)/python -m pip install --quiet --group environments
	$(BIN)/python -m tests.pythons $(PYTHONS)

check: $(VENV)/.ready
	$(BIN)/python -m benchmarks check --rows 1000000

bench-small: $(VENV)/.ready
	$(BIN)/python -m benchmarks compare wide-csv --rows 100000 --contender ours --contender floor --contender python

# A separate stamp: the other tools are large, and only this needs them.
$(VENV)/.bench-ready: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

bench: $(VENV)/.bench-ready
	$(BIN)/python -m benchmarks all --scale $(SCALE) --runs $(RUNS)

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.documented

# The tables of the documentation that are generated from the code.
tables: $(VENV)/.dev-ready
	$(BIN)/python -m tests.documented --write

$(VENV)/.docs-ready: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

screenshot: $(VENV)/.dev-ready
	$(BIN)/python -m tests.screenshot docs/report.png

docs: $(VENV)/.docs-ready
	$(BIN)/zensical build --strict --clean

format: $(VENV)/.dev-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .cache dist site converter/kernel/libaam_kernel.so out reports .pytest_cache .mypy_cache .ruff_cache .hypothesis
