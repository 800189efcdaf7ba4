# Each target runs a few commands: `make -n TARGET` prints them.

PYTHON ?= python3

# Passed through the environment, so that the shell does not evaluate their values.
export TOPOLOGY MODEL SUITE AGENTS DURATION PASSES PROTOCOL CACHE EAGER PREFIX_CACHE CONNECTION RUNTIME ENDPOINT BUNDLE OUT FUZZ_SECONDS BASE WEIGHTS REGISTRY SLO \
	TOPOLOGIES MODELS SUITES STARTS BUDGET

SETUP := $(PYTHON) -m kit.bootstrap
KIT := .kit/venv/bin/kit
DEV := .kit/dev/bin

# `$${X:+--x "$$X"}`: the option, quoted, if the variable is set and not empty.
CELL := $${TOPOLOGY:+--topology "$$TOPOLOGY"} $${MODEL:+--model "$$MODEL"} \
	$${SUITE:+--suite "$$SUITE"} $${AGENTS:+--agents "$$AGENTS"} \
	$${DURATION:+--duration "$$DURATION"} $${PASSES:+--passes "$$PASSES"} \
	$${PROTOCOL:+--protocol "$$PROTOCOL"} $${CACHE:+--cache "$$CACHE"} \
	$(if $(filter 1,$(EAGER)),--eager) $(if $(filter 0,$(PREFIX_CACHE)),--no-prefix-cache) \
	$${CONNECTION:+--connection "$$CONNECTION"}
BUNDLES := "$${BUNDLE:-results/local}"

.DEFAULT_GOAL := help
.PHONY: help bench matrix build-guide rehearsal doctor images plan verify submit report test fuzz pages lint lock clean \
	distclean

help:
	@echo 'make bench      measure, verify and report; installs what it needs'
	@echo 'make matrix     measure every topology of this machine, in an order that favours none'
	@echo 'make rehearsal  run a GPU topology on the CPU engine in containers, without a GPU'
	@echo 'make doctor     show what this machine can run, what it lacks, and how to install that'
	@echo 'make images     build the images of TOPOLOGY, as `make bench` does before it measures'
	@echo 'make plan       show what `make bench` would run; start nothing'
	@echo 'make verify     verify all accepted bundles and judge every claim again; or BUNDLE=DIR or FILE'
	@echo 'make submit     pack BUNDLE=DIR into results/community, and say what to commit'
	@echo 'make report     page and charts of BUNDLE=DIR (results/local) in OUT=DIR (results/report)'
	@echo 'make build-guide  what to build, from BUNDLE=DIR (results/local) and prices.toml'
	@echo 'make test       run all tests; installs what they need'
	@echo 'make fuzz       fuzz every parser for FUZZ_SECONDS=300'
	@echo 'make lint       ruff, import-linter, mypy --strict, yamllint, hadolint, shellcheck'
	@echo 'make pages      write docs/checks.md, docs/topologies.md, schemas/, tests/cases/README.md'
	@echo 'make lock       compile docker/*.lock from docker/*.in'
	@echo 'make clean      remove caches and reports, not bundles and environments'
	@echo 'make distclean  remove environments and models too, not the id of this host'
	@echo
	@echo 'Variables: TOPOLOGY MODEL SUITE PASSES PROTOCOL CACHE for bench and plan; RUNTIME for bench;'
	@echo '           SUITE=swarm AGENTS=1,2,4,8 for several requests at once, DURATION=30m for so long;'
	@echo '           TOPOLOGIES= MODELS= SUITES=single,swarm STARTS=3 BUDGET=8h for matrix;'
	@echo '           EAGER=1, PREFIX_CACHE=0, CONNECTION=per-request for bench, to see what they do;'
	@echo '           SLO=ttft=1s,tpot=20ms for report: how many of these requests were that fast;'
	@echo '           ENDPOINT=http://HOST:PORT for bench, to measure a server that runs already;'
	@echo '           WEIGHTS=DIR for bench, to serve model files that are here already;'
	@echo '           REGISTRY=HOST/PATH for bench and images, to pull images instead of building them;'
	@echo '           PYTHON=python3.12 to install with another Python from 3.11 to 3.13.'
	@echo 'Example:   make bench TOPOLOGY=cpu-tp2 MODEL=moe-mini PASSES=3'
	@echo
	@echo 'make exits with 2 on every failure; $(KIT) has exact exit codes.'

bench:
	@$(SETUP) kit
	@$(KIT) bench $(CELL) $${RUNTIME:+--runtime "$$RUNTIME"} $${ENDPOINT:+--endpoint "$$ENDPOINT"}

matrix:
	@$(SETUP) kit
	@$(KIT) matrix $${TOPOLOGIES:+--topologies "$$TOPOLOGIES"} $${MODELS:+--models "$$MODELS"} \
	    $${SUITES:+--suites "$$SUITES"} $${AGENTS:+--agents "$$AGENTS"} \
	    $${PASSES:+--passes "$$PASSES"} $${STARTS:+--starts "$$STARTS"} \
	    $${BUDGET:+--budget "$$BUDGET"} $${RUNTIME:+--runtime "$$RUNTIME"}

# Driver and container toolkit: the system's, or the stand-ins that `.ci/docker-engine` installs.
rehearsal:
	@$(SETUP) kit
	@PATH="$$PWD/tests/stand_in_gpu:$$PATH" LD_LIBRARY_PATH=tests/stand_in_gpu/driver \
	    $(KIT) bench --rehearsal $(CELL)

doctor:
	@$(SETUP) kit
	@$(KIT) doctor $${TOPOLOGY:+"$$TOPOLOGY"}

images:
	@$(SETUP) kit
	@$(KIT) images $(CELL)

plan:
	@$(SETUP) kit
	@$(KIT) plan $(CELL)

verify:
	@$(SETUP) kit
	@if [ -n "$$BUNDLE" ]; then $(KIT) verify "$$BUNDLE"; else $(KIT) results; fi

build-guide:
	@$(SETUP) kit
	@$(KIT) build-guide $(BUNDLES)

submit:
	@$(SETUP) kit
	@$(KIT) submit "$$BUNDLE"

report:
	@$(SETUP) kit
	@$(KIT) report $(BUNDLES) -o "$${OUT:-results/report}" $${SLO:+--slo "$$SLO"}

test:
	@$(SETUP) kit dev engine
	$(DEV)/python -m pytest

fuzz:
	@$(SETUP) dev
	$(DEV)/python -m tests.fuzz.run all --seconds "$${FUZZ_SECONDS:-300}" --corpus .kit/fuzz

pages:
	@$(SETUP) dev
	$(DEV)/python -m kit.tools.checks_page > docs/checks.md
	$(DEV)/python -m kit.tools.schemas
	$(DEV)/python -m kit.tools.topologies_page > docs/topologies.md
	$(DEV)/python -c 'from tests.cases import tampering; print(tampering.page(), end="")' \
	    > tests/cases/README.md

lint:
	@$(SETUP) dev
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/lint-imports --no-cache
	$(DEV)/mypy --strict kit docker/marlin_kernels.py
	$(DEV)/yamllint --strict compose
	$(DEV)/hadolint docker/*.Dockerfile
	$(DEV)/shellcheck .ci/*

lock:
	@$(SETUP) lock

clean:
	rm -rf .kit/*.partial .kit/uv-cache .kit/setup.log results/report
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find kit tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo 'kept: results/local (bundles), .kit (environments and models; `make distclean`),'
	@echo '      in Docker, images llm-serving-kit/* and volumes kit-*'

distclean: clean
	test ! -d .kit || find .kit -mindepth 1 -maxdepth 1 ! -name host-id -exec rm -rf {} +
	@echo 'kept: .kit/host-id, by which the bundles of this host belong together'
