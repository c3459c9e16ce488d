# Millrace. `make help` lists the verbs. Everything is installed into .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KAFKA_FOLDER ?= .millrace/kafka-node
KAFKA_PORT ?= 9092
LOTTERY_S ?= 600
# Tests mostly wait for brokers and processes; each of these has engines of its own, 1 GB together.
TEST_PROCESSES ?= 3
LOTTERY_SEED ?= 1
AGGREGATION_EVENTS ?= 3000000
ARGS ?=
SOURCES := api catalog clickhouse core ingest invoicing migrations rating runtime streams
# What talks to a log, and can be given any.
ON_KAFKA := tests/streams tests/ingest tests/runtime --ignore=tests/runtime/embedded
.DEFAULT_GOAL := help
.PHONY: help install demo up kafka test test-urls test-prices test-aggregations test-simulation test-faust test-faults lottery test-kafka check lint types law tidy format bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	@# Many processes are started; each would read the sources anew where Python may not keep what it made of them.
	@$(BIN)/python -m compileall -q $(SOURCES)
	@touch $@

install: $(VENV)/.installed ## install everything into .venv

demo: install ## set everything up from nothing, stream 500,000 events, bill them, and check every number
	@$(BIN)/millrace demo

up: install ## start the whole stack on this machine and keep it serving
	@$(BIN)/millrace up

kafka: install ## run a real Apache Kafka (Java, Maven) in KAFKA_FOLDER on KAFKA_PORT, until Ctrl-C
	@$(BIN)/millrace kafka --folder $(KAFKA_FOLDER) --port $(KAFKA_PORT)

test: install ## run the tests, on real engines started for them, a few files side by side
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not faults and not kafka and not simulation"

test-urls: install ## run the same tests on engines started apart and known by URL only
	$(BIN)/python -m tests.run_on_urls -m "not faults and not kafka and not simulation"

test-simulation: install ## 5,000 seeds of the commit protocol under crashes, and wrong protocols that must be caught
	$(BIN)/python -m pytest -m simulation

test-prices: install ## 20,000 random prices and quantities against plain decimals, to the last digit
	$(BIN)/python -m pytest -m simulation tests/rating/test_every_price.py

test-aggregations: install ## AGGREGATION_EVENTS events through line and stores, every meter against plain decimals
	$(BIN)/python -m tests.rating.aggregations --events $(AGGREGATION_EVENTS)

test-faust: install ## what is known to go wrong with Faust, with and without its compiled parts: before a new version
	$(BIN)/python -m pytest tests/streams/faust
	NO_CYTHON=1 $(BIN)/python -m pytest tests/streams/faust

test-faults: install ## strike at every part while events stream in, on both logs; writes docs/faults.md
	@$(BIN)/millrace kafka --fetch-only
	$(BIN)/python -m tests.runtime.faults.run --write docs/faults.md

lottery: install ## kill random processes for LOTTERY_S seconds under load, on Apache Kafka; LOTTERY_SEED repeats it
	@$(BIN)/millrace kafka --fetch-only
	$(BIN)/python -m tests.runtime.faults.lottery --seconds $(LOTTERY_S) --seed $(LOTTERY_SEED)

test-kafka: install ## run the stream, the demonstration and the node's own faults on a real Apache Kafka
	@$(BIN)/millrace kafka --fetch-only
	$(BIN)/python -m tests.runtime.kafka.with_broker $(BIN)/python -m pytest -m "not faults and not kafka" $(ON_KAFKA)
	MILLRACE_LOG=apache $(BIN)/python -m pytest -m kafka tests/runtime/kafka

check: lint types law tidy ## lint, strict types, import law, tidy rules

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy .

law: install
	$(BIN)/lint-imports

tidy: install
	$(BIN)/python -m pytest -q tests/tidy

format: install ## format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## measure this machine, 15 minutes or so; ARGS=--quick takes three, ARGS="--log apache" runs on Kafka
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environment and all local data
	rm -rf $(VENV) .millrace .mypy_cache .ruff_cache .pytest_cache .hypothesis
