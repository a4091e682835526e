# 乡音. `make run` and `make test` build what is missing and do nothing twice.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
UV := .venv/bin/uv
# Compiled here, once: where Python may not write beside its libraries (PYTHONDONTWRITEBYTECODE, another user's files)
# each start would compile them anew, six seconds of ten.
INSTALL := $(UV) pip install --quiet --compile-bytecode --require-hashes
RASA_PY := bot/.venv/bin/python

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

# -- what is built once -----------------------------------------------------------------------------------

.venv/.uv:
	@python=$$(tools/find-python 3.11 up)
	echo "[1/4] 建服务的环境（$$python）"
	"$$python" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	touch $@

.venv/.installed: requirements.lock pyproject.toml | .venv/.uv
	@echo "[1/4] 装服务要用的库"
	$(INSTALL) --python $(PY) -r requirements.lock
	$(UV) pip install --quiet --python $(PY) --no-deps --editable .
	$(PY) -m compileall -q connectors handoff voice
	touch $@

.venv/.dev: requirements-dev.lock | .venv/.installed
	@echo "[1/4] 装开发和测试要用的库"
	$(INSTALL) --python $(PY) -r requirements-dev.lock
	touch $@

bot/.venv/.installed: bot/requirements.lock | .venv/.uv
	@python=$$(tools/find-python 3.10)
	echo "[2/4] 建 Rasa 的环境（$$python，约 1.5 GB，只用 CPU）"
	$(UV) venv --quiet --clear --python "$$python" bot/.venv
	$(INSTALL) --python $(RASA_PY) --no-deps -r bot/requirements.lock
	touch $@

setup: .venv/.installed bot/.venv/.installed ## build both environments, fetch the speech models, train if needed
	@echo "[3/4] 语音模型"
	.venv/bin/xiangyin models fetch
	echo "[4/4] 对话模型"
	.venv/bin/xiangyin train

# -- what one does ----------------------------------------------------------------------------------------

run: setup ## set up what is missing and start everything; Ctrl-C stops it
	@exec .venv/bin/xiangyin run

demo: setup ## the whole story through the real processes, in half a minute
	@exec .venv/bin/xiangyin demo

check: .venv/.dev ## style, types, imports and the fast tests (six minutes on two cores)
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow and not alone"
	$(PY) -m pytest -m "not slow and alone"

test: .venv/.dev setup ## everything, with real Rasa, both databases, real voices and a real browser
	@tools/system-packages
	.venv/bin/xiangyin models fetch vosk-ko
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	echo "rasa data validate --fail-on-warnings"
	(cd bot && RASA_TELEMETRY_ENABLED=false PYTHONWARNINGS=ignore .venv/bin/rasa data validate --fail-on-warnings --domain domain --config config.yml --data ../nlu_data/nlu data > ../.venv/validate.log 2>&1) || { tail -30 .venv/validate.log; exit 1; }
	echo "tests, several files at once; then those that need the machine for themselves"
	$(PY) -m pytest -n 2 --dist loadfile -m "not alone"
	$(PY) -m pytest -m alone

evaluate: .venv/.dev setup ## what is understood, on held-back sentences: writes docs/evaluation.md
	@$(PY) -W ignore -m tools.evaluate

pipelines: .venv/.dev setup ## several pipelines of Rasa, trained and measured side by side: writes docs/pipelines.md
	@$(PY) -W ignore -m tools.pipelines

heard: .venv/.dev setup ## sentences spoken down a telephone line and read back: writes docs/mishearing.md, half an hour
	@$(PY) -W ignore -m tools.heard

encoder: .venv/.uv ## train the sentence encoder anew: an hour, only when nlu_data has changed much
	@$(PY) -m venv .venv/encoder
	.venv/encoder/bin/python -m pip install --quiet --disable-pip-version-check -r tools/encoder/requirements.txt
	.venv/encoder/bin/python tools/encoder/train.py learn

screenshots: .venv/.dev setup ## the pictures of the README, made again
	@tools/system-packages
	$(PY) tools/screenshots.py

example: .venv/.dev setup ## one whole telephone conversation: writes docs/example-call.md, its sound and the picture of its time line
	@$(PY) -W ignore -m tools.example_call

lock: .venv/.uv ## resolve the dependencies of both environments anew
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links pyproject.toml --group dev -o requirements-dev.lock
	$(UV) pip compile --quiet --python-version 3.10 --override bot/overrides.txt --generate-hashes --no-header --no-emit-index-url --no-emit-find-links bot/requirements.in -o bot/requirements.lock

clean: ## remove what was built here (not the store, not the models)
	@rm -rf .venv bot/.venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help setup run demo check test evaluate pipelines heard encoder screenshots example lock clean
