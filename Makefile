# make quick · make repro · make test · make ui
# Every target sets up what it needs: a virtual environment in .venv with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: quick repro repro-all check baseline environment audit test types tests mutants ui list readme clean-env
.DEFAULT_GOAL := help

help:
	@echo "make quick   three variants, one seed, on the embedded dataset: the first table"
	@echo "make repro   the board digits: seven variants, three seeds; prints and writes the leaderboard"
	@echo "make repro-all  the board all: every variant there is"
	@echo "make audit   test the metrics on real digits disturbed on purpose"
	@echo "make check   after make repro: compare the leaderboard with the committed baseline: did samples get worse?"
	@echo "make baseline  accept the present numbers: those of the board digits and, after running it, of CI's grid"
	@echo "make test    lint, type-check and test"
	@echo "make mutants  break losses, metrics and gate on purpose, a line at a time: which breaks does no test see?"
	@echo "make ui      open MLflow on the results"
	@echo "make list    boards, datasets, variants, and which cells are fresh, stale or missing"
	@echo "make readme  write the leaderboard's table into README.md"

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  "gm-bench needs Python 3.11 to 3.13, this is %d.%d: call make PYTHON=/path/to/python3.12" % v)'
	@echo "installing into .venv: 6 GB, some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@# On all cores, where pip would use one. It must be done here: where Python is told to write no byte code,
	@# every process would compile torch and DVC anew. Templates that are no Python fail, and do not matter.
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' .venv/lib || true
	@touch $@

quick: .venv/.installed
	$(BIN)/gm-bench run --board quick

repro: .venv/.installed
	$(BIN)/gm-bench run

check: .venv/.installed
	$(BIN)/gm-bench check

# After a change that is meant to move the numbers: accepts reports/digits/leaderboard.json, runs CI's grid
# and accepts it.
baseline: .venv/.installed
	$(BIN)/gm-bench check --update
	folder=$$(mktemp -d) && $(BIN)/python tests/ci.py "$$folder" --update && rm -rf "$$folder"

environment: .venv/.installed

audit: .venv/.installed
	$(BIN)/gm-bench audit

repro-all: .venv/.installed
	$(BIN)/gm-bench run --board all

test: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# Types beside the tests: these leave a core idle for a minute in all.
	$(MAKE) --jobs 2 types tests

types: .venv/.installed
	$(BIN)/mypy

tests: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadgroup

# Of what [tool.mutmut] in pyproject.toml names: functions of modules, and methods that return a loss. Anew each time.
mutants: .venv/.installed
	rm -rf mutants
	OMP_NUM_THREADS=1 $(BIN)/mutmut run '*.x_*' '*loss__mutmut*' '*penalty__mutmut*' '*likelihood__mutmut*'
	$(BIN)/mutmut results

ui: .venv/.installed
	$(BIN)/gm-bench ui

list: .venv/.installed
	$(BIN)/gm-bench list

readme: .venv/.installed
	$(BIN)/python -m pipelines.readme

clean-env:
	rm -rf .venv
