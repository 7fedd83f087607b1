# Two commands do everything on a fresh machine with Python 3.11 and the package registry:
#   make demo    the whole loop for real on the embedded world, into outputs/demo
#   make test    linters, types, layers and the tests
# Beside them make test-slow runs the long tests, and make test-gpu those for who changes how a GPU is used.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# one thread pool that sleeps when idle: on few cores spinning threads strangle each other
export OMP_WAIT_POLICY ?= passive

.PHONY: install demo test test-slow test-gpu check lock clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile -c constraints.txt -e '.[train,quant,nano,test]'
	touch $@

demo: install
	$(BIN)/twinloop demo --out outputs/demo

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# on the CPU, GPU or none: what PyTorch computes there is rounded otherwise, and some tests fork; with bytecode, also
# where the shell says otherwise: hundreds of processes import the same modules
PYTEST := CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q

test: check
	$(PYTEST)

# what takes long however it is written: runs that are killed in each of their parts, a whole workflow in a terminal,
# every command of the seed, what is compiled or quantised for every family
test-slow: install
	$(PYTEST) -m slow

# the tests that need a CUDA device: on a real one, or on a pretend one that g++ makes of PyTorch's CPU build
test-gpu: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.gpu

# write constraints.txt anew from what is installed (after changing pyproject.toml)
lock: install
	$(BIN)/python tools/lock.py > constraints.txt.new && mv constraints.txt.new constraints.txt

clean:
	rm -rf $(VENV) outputs/demo .pytest_cache .mypy_cache .ruff_cache
