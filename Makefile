# Every target creates .venv first if it is missing. Needs Python 3.11 or newer: make PYTHON=python3.12 test
PYTHON ?= python3
BIN := .venv/bin

install: .venv/ready

.PHONY: install demo weights paper study-small docs docs-serve test test-slow lint bench clean

# One thread: for such small networks a second thread saves 5 %, and doubles the time if another process is busy.
demo: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pipelines.cli.demo --out demo

# Train the weights that come with cdgnet again: make weights PHOTOGRAPHS=DIR HOURS=2 OPTIONS="--seed 1 --out weights-1"
ifeq ($(MAKECMDGOALS)$(PHOTOGRAPHS),weights)
$(error pass the folder of the photographs: make weights PHOTOGRAPHS=DIR; docs/weights.md says what it must contain)
endif
weights: .venv/ready
	$(BIN)/python -m pipelines.cli.weights --photographs "$(PHOTOGRAPHS)" $(addprefix --hours ,$(HOURS)) $(OPTIONS)

# make paper lists the studies and how long each takes on this machine; make paper STUDY="table3 table4" H5=gopro.h5 TEST=gopro-test.h5
# OPTIONS="--steps 20000" runs two of them.
paper: .venv/ready
ifdef STUDY
	for study in $(STUDY); do $(BIN)/cdg-study $$study $(addprefix --h5 ,$(H5)) --test $(TEST) --out paper $(OPTIONS) || exit; done
else
	$(BIN)/cdg-study list $(OPTIONS)
endif

study-small: .venv/ready
	$(BIN)/python -m pipelines.cli.demo --study --out study

# Build the pages of docs/ as a site in site/. The search needs a server: make docs-serve
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open site/index.html"

docs-serve: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: .venv/ready
	$(BIN)/python benchmarks/sharpness_speed.py
	$(BIN)/python benchmarks/masks_scale.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/synthesis.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/deform.py
	$(BIN)/python benchmarks/cpu.py
	$(BIN)/python benchmarks/network.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/review.py
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/startup.py

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s; make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing into .venv: torch alone is several GB, this takes a few minutes, once"
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
