# Every target makes the virtual environment and installs skneg when that is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GALLERY := $(filter-out index,$(basename $(notdir $(wildcard docs/gallery/*.md))))

.PHONY: demo test test-slow lint docs docs-test pictures report-picture gallery package tiny benchmark mutants clean

demo: $(STAMP)  ## the main job on the shipped model: known from unknown images
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## all tests but the slow ones
	$(BIN)/python -m pytest

test-slow: $(STAMP)  ## the slow ones as well, but not those in a browser
	$(BIN)/python -m pytest -m "not browser"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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

mutants: $(STAMP)  ## small changes of the code, each of which a test must notice; takes an hour
	$(BIN)/python -m pip install --quiet --editable '.[dev,mutants]'
	$(BIN)/python .ci/mutants.py

tiny: $(STAMP)  ## rebuild the shipped model, about half an hour on 2 cores
	$(BIN)/python -m skneg.datasets.train_tiny

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "skneg needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .cache site demo-output benchmark-* build dist
