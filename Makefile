# Two doors: `make reproduce` writes every table and figure, `make test` runs every test. Both make .venv first.
# While working: `make fmt lint type test-fast`; `.venv/bin/pre-commit install` runs the first three at every commit.
PYTHON ?= python3
TIER ?= mini
# Where pip looks for torch, when not where it looks for everything else: PyTorch's own index of CPU or CUDA builds.
TORCH_INDEX ?=
# Processes that run the tests side by side.
WORKERS ?= 2

BIN := .venv/bin
READY := .venv/ready
QUIET := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

# One thread per worker: two workers with two threads each wait for one another on two cores.
PYTEST = $(QUIET) TQDM_DISABLE=1 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

.PHONY: env reproduce fmt lint type test-fast test lock clean

env: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; use make PYTHON=...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(grep '^torch==' requirements.lock)
	$(BIN)/pip install -r requirements.lock
	$(BIN)/pip install --no-deps --no-build-isolation -e .
	touch $@

reproduce: $(READY)
	$(QUIET) $(BIN)/psd reproduce --tier $(TIER)

fmt: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

type: $(READY)
	$(BIN)/mypy psd_lib

# In a minute and a half: one case of each parametrized test, without the longest tests.
test-fast: $(READY)
	$(PYTEST) tests --cases 1 -m 'not slow and not gpu and not thorough'

test: $(READY)
	$(PYTEST) tests notebooks \
	  --nbval-lax --nbval-sanitize-with tests/nbval_sanitize.cfg --nbval-cell-timeout 300 --nbval-kernel-name python3

lock: $(READY)
	{ head -n 1 requirements.lock; $(BIN)/pip freeze --all | grep -viE '^(pip|psd[-_]lib|triton|(nvidia|cuda)[-_].*)==|^(-e|#) ' \
	  | sed 's/+[a-z0-9.]*$$//' | LC_ALL=C sort -f; } > requirements.new
	mv requirements.new requirements.lock

clean:
	rm -rf .venv build *.egg-info
