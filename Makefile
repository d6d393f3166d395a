# `make` lists the targets. `make demo` and `make test` do all set-up themselves: they need
# Python 3.11 or 3.12, git and make, and find Java or say how to install it.
.DEFAULT_GOAL := help
.PHONY: help demo test test-whole test-cluster test-slow test-models test-install faults check format bench zip clean

VENV ?= .venv
BIN := $(VENV)/bin
PINS := setup.cfg pyproject.toml docker/constraints.txt
WITH_JAVA := JAVA_HOME=$$(docker/java.sh) && export JAVA_HOME &&
PYTEST := $(WITH_JAVA) $(BIN)/python -m pytest

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run  ## curate the example pool, start to end: a balanced sample and its report
	$(WITH_JAVA) $(BIN)/evenlake demo --config conf/quickstart.yaml

test: $(VENV)/.classes  ## the test suite, in two processes (ARGS="-k quota" picks)
	$(PYTEST) -n 2 --dist loadfile $(ARGS)

test-whole: $(VENV)/.classes  ## whole runs in every other form and turn of events, in two processes
	$(PYTEST) -n 2 --dist loadfile -m "whole and not (slow or cluster)" $(ARGS)

test-cluster: $(VENV)/.classes  ## tests that start executors of their own
	$(PYTEST) -m cluster $(ARGS)

test-slow: $(VENV)/.run  ## quality sweeps over many seeds
	$(PYTEST) -m slow $(ARGS)

test-models: $(VENV)-models/.run  ## real pretrained models, in an environment of its own: 7 GB
	$(WITH_JAVA) HF_HUB_OFFLINE=1 $(VENV)-models/bin/python -m pytest -m models $(ARGS)

faults: $(VENV)/.classes  ## killed processes, full disks, many starts at once; hours (ARGS="-k executor")
	$(PYTEST) -m faults $(ARGS)

test-install: $(VENV)/.run  ## the image's install steps, in an empty environment, without Docker
	$(PYTEST) -m install $(ARGS)

check: $(VENV)/.dev  ## format, lint, types, import contracts and security; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive jobs udfs docker
	$(BIN)/python docker/audit.py

format: $(VENV)/.dev  ## format the code and repair what lint can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench  ## time, inertia, balance and memory beside the rivals (ARGS="level1-200k"; -h lists)
	$(WITH_JAVA) $(BIN)/python -m tests.benchmarks $(ARGS)

zip:  ## dist/evenlake.zip, for spark-submit --py-files
	$${PYTHON:-python3} docker/zip.py dist/evenlake.zip

clean:  ## remove what these targets made, the virtual environments included
	rm -rf .venv* build dist *.egg-info .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Redone when a requirement or a pin changes.
$(VENV)/.run: $(PINS)
	docker/install.sh --editable $(VENV) local,test
	@touch $@

# Half a minute, after which each of the suites' many processes starts some four seconds sooner.
$(VENV)/.classes: $(VENV)/.run
	$(WITH_JAVA) $(BIN)/python -m jobs.spark.session --keep-classes
	@touch $@

$(VENV)-models/.run: $(PINS)
	docker/install.sh --editable $(VENV)-models local,test-models
	@touch $@

$(VENV)/.dev: $(PINS)
	docker/install.sh --editable $(VENV) dev
	@touch $@

$(VENV)/.bench: $(PINS)
	docker/install.sh --editable $(VENV) local,bench
	@touch $@
