# Every target makes the virtual environment and installs skneg when that is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AUDIT := $(VENV)-audit
OLDEST := $(VENV)-oldest
GALLERY := $(filter-out index,$(basename $(notdir $(wildcard docs/gallery/*.md))))

# Of `make fuzz`: for damaged input, for both, and lives of detectors.
SECONDS ?= 600
SEED ?= 0
EXAMPLES ?= 500

.PHONY: demo test test-slow test-oldest faults fuzz lint docs docs-test pictures report-picture gallery package
.PHONY: tiny benchmark mutants audit locks clean

demo: $(STAMP)  ## the main job on the shipped model: known from unknown images
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## all tests but the slow ones, in a process for each core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(STAMP)  ## the slow ones as well, but not those in a browser
	$(BIN)/python -m pytest -m "not browser"

faults: $(STAMP)  ## 6,000 faults by every way in, and their table in docs/reliability.md; takes ten minutes
	$(BIN)/python -m tests.faults --sample 6000 --write

fuzz: $(STAMP)  ## damaged input for SECONDS (600), and EXAMPLES (500) lives of detectors, by SEED (0)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m slow tests/fuzz --hypothesis-seed=$(SEED)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive skneg --configfile pyproject.toml

docs: $(STAMP)  ## the site, in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(STAMP)  ## the pictures of the pages, without a network
	$(BIN)/python examples/displays.py --out docs/images
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/layout_picture.py

report-picture: $(STAMP)  ## that of docs/report.md; needs the extra browser, and chromium
	$(BIN)/python docs/report_picture.py

gallery: $(STAMP)  ## run the examples again: pictures and output of docs/gallery
	set -e; cd docs/images/gallery; for name in $(GALLERY); do \
	    $(abspath $(BIN))/python ../../../examples/$$name.py >../../gallery/output/$$name.txt; done

docs-test: $(STAMP)  ## the site, as mkdocs and as zensical build it, in a browser; takes minutes
	@[ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || \
	    { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	      apt-get install -qq --no-install-recommends chromium; } || \
	    { echo "docs-test needs the browser chromium: as root, apt-get install chromium"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[dev,browser]'
	rm -rf site build/zensical && mkdir -p build
	$(BIN)/zensical build --strict --clean && mv site build/zensical
	$(MAKE) docs
	CHROMIUM=$${CHROMIUM:-$$(command -v chromium)} $(BIN)/python -m pytest -m browser tests/browser

package: $(STAMP)  ## wheel and sdist in dist/, looked into, and the wheel used in an empty environment
	$(BIN)/python .ci/package.py

benchmark: $(STAMP)  ## speed and memory, and docs/performance.md from the figures; takes long
	$(BIN)/python benchmarks/run.py

audit: $(STAMP) $(AUDIT)/.installed  ## known vulnerabilities of what is installed; needs the internet
	mkdir -p build && $(BIN)/python -m pip list --format=freeze --exclude-editable >build/installed.txt
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --no-deps --requirement build/installed.txt 2>build/audit.txt || \
	    { cat build/audit.txt; grep -qE 'could not be audited|ConnectionError|ServiceError' build/audit.txt && \
	      echo 'audit: no result, since the service that knows vulnerabilities cannot be reached from here'; exit 1; }

locks: $(AUDIT)/.installed  ## the newest tools, with their hashes, into .ci/*.txt
	for name in lint audit; do $(AUDIT)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-header .ci/$$name.in --output-file .ci/$$name.txt; done

test-oldest: $(AUDIT)/.installed  ## all tests with the oldest packages that pyproject.toml allows; some GB of downloads
	mkdir -p build && sed -n 's/.*"torch>=\([0-9.]*\)".*/torch==\1.0/p' pyproject.toml >build/torch.txt
	$(AUDIT)/bin/uv pip compile --quiet --resolution lowest-direct --python-version 3.11 pyproject.toml \
	    --extra docs --extra test --constraint build/torch.txt --output-file build/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --requirement build/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --no-deps --editable .
	$(OLDEST)/bin/python -m pytest

mutants: $(STAMP)  ## small changes of the code, each of which a test must notice; takes an hour
	$(BIN)/python -m pip install --quiet --editable '.[dev,mutants]'
	$(BIN)/python .ci/mutants.py

tiny: $(STAMP)  ## rebuild the shipped model, about half an hour on 2 cores
	$(BIN)/python -m skneg.datasets.train_tiny

$(STAMP): pyproject.toml .ci/lint.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "skneg needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement .ci/lint.txt
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(AUDIT)/.installed: .ci/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --require-hashes --requirement .ci/audit.txt
	@touch $@

clean:
	rm -rf $(VENV) $(AUDIT) $(OLDEST) .cache site demo-output benchmark-* build dist
