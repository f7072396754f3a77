# The main commands are `make quickstart` and `make test`.
# PYTHON may be any Python from 3.10 to 3.13; .venv is created once and reused.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python

.PHONY: quickstart test faults lint types clean

quickstart: $(READY)
	$(RUN) tools/quickstart.py

# one single-threaded process per core; tests of one file share fixtures, so they share a process
test: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests -n auto --maxprocesses 4 --dist loadfile

# kills, full disks, damaged files, several processes: what docs/reliability.md reports
faults: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests -m faults

lint: $(READY)
	$(RUN) -m ruff check .

# type hints of the Python interface
types: $(READY)
	$(RUN) -m mypy

$(READY): requirements.txt setup.py
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements.txt -e .
	touch $@

clean:
	rm -rf $(VENV) work_dirs
