# The verbs of the project. `make` prepares the machine; `manage.py` and the test runners do the work.

PORT ?= 8000
PYTHON_IN_VENV = .venv/bin/python
export PYTHON

.PHONY: help up setup test test-js test-native test-native-short test-arm64 test-python soak lint bench bench-delivery chaos scripts

help:
	@echo "make up [PORT=8000]   start everything on this machine; Ctrl-C ends it"
	@echo "make setup            only prepare: Debian packages, .venv, the compiled engine"
	@echo "make test             all tests (JavaScript, C, Python with a real X server, Redis, database and browser)"
	@echo "make test-native      the C engine under ASan, UBSan and TSan, at length"
	@echo "make test-arm64       the C engine for aarch64, in an emulator, with and without x264"
	@echo "make soak             100,000 frames and 200 resizes: memory, descriptors and threads stay flat"
	@echo "make chaos            50 rounds of random kills and every other fault at length, with the times asked; CHAOS_ROUNDS=n"
	@echo "make scripts          random histories and 3000 drawing scripts, seen by Python and the browser; SCRIPTS=n SEED=first"
	@echo "make lint             ruff, mypy, import contracts, ESLint, tsc"
	@echo "make bench            our engine and its peers on real applications, the short form"
	@echo "make bench-delivery   how pictures reach viewers, and what can hurt them, the short form"

# `exec`, so that Ctrl-C and SIGTERM reach the program itself.
up: setup
	@exec $(PYTHON_IN_VENV) manage.py up --port "$(PORT)"

setup:
	@scripts/setup

# All of them, whichever fails. The longest run last, so that the last line is its verdict; the others two at a time, each target's
# words together.
test:
	@scripts/setup test
	@status=0; \
	$(MAKE) --no-print-directory -k -j2 --output-sync=target test-js test-native-short || status=$$?; \
	$(MAKE) --no-print-directory test-python || status=$$?; \
	[ $$status = 0 ] || echo "make test: something above has failed." >&2; \
	exit $$status

test-js:
	npm test --silent

test-native-short:
	@$(MAKE) --no-print-directory -s -C tests/native asan fuzz SECONDS=4

test-native:
	@scripts/setup test
	$(MAKE) -C tests/native

test-arm64:
	@scripts/setup test arm64
	$(MAKE) -C tests/native arm64

soak:
	@scripts/setup test
	$(PYTHON_IN_VENV) -m tests.stripeengine.soak

# Three at a time on two processors; what failed so is run once more, alone.
test-python:
	$(PYTHON_IN_VENV) -m tests.run

CHAOS_ROUNDS ?= 50

chaos:
	@scripts/setup test
	STRIPEDESK_CHAOS=1 STRIPEDESK_CHAOS_ROUNDS=$(CHAOS_ROUNDS) $(PYTHON_IN_VENV) -m pytest -s tests/faults tests/sessions/host/test_traces.py

SCRIPTS ?= 3000
SEED ?= 1000

scripts:
	@scripts/setup test
	HYPOTHESIS_PROFILE=thorough $(PYTHON_IN_VENV) -m pytest tests/stripeengine/test_equivalence.py tests/stripeengine/test_wire.py
	STRIPEDESK_SCRIPTS=$(SCRIPTS) STRIPEDESK_BROWSER_SCRIPTS=$$(( $(SCRIPTS) / 8 )) STRIPEDESK_SCRIPTS_SEED=$(SEED) \
	$(PYTHON_IN_VENV) -m pytest tests/stripeengine/test_scripts.py tests/e2e/test_scripts_browser.py

lint:
	@scripts/setup test
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy platform/stripedesk sessions stripeengine
	PYTHONPATH=platform .venv/bin/lint-imports
	npm run lint --silent

bench: setup
	@scripts/setup test
	$(PYTHON_IN_VENV) -m benchmarks.engine --short

bench-delivery: setup
	@scripts/setup test
	$(PYTHON_IN_VENV) -m benchmarks.delivery --short
