# make run [ARGS='…']   install what is needed, then report this host's processes
# make test             install what is needed, run all tests, and those of compiled code on it again
# make test-packages    what some tests need beside that (a browser, Prometheus, shells): they skip without
# make check            format, lint, types, import rules
# make deb [WITH=…]     the package in dist/; WITH: one from another release, whose compiled modules it gets too
# make test-systemd     the package under a real systemd, in a virtual machine
# make test-distros     all of the above on fresh Debian 12 and 13, and the upgrade between them: over an hour
# make test-vm          the kernel tests on other kernels, in virtual machines (docs/kernels.md)
# make fuzz [MINUTES=30] [TARGET=config]   inputs of strangers, for a while (tests/fuzz)
# make soak MINUTES=30  storms, restarts and scrapes together, for a while
# make docs             what pages show and tell of the code, made again
# make bench            what it costs (bench/README.md)

SHELL := /bin/bash
PYTHON := /usr/bin/python3
BIN := .venv/bin

# What the fleet runs: Debian's own packages, not newer ones.
RUN_PACKAGES := python3 python3-bpfcc python3-uvloop python3-cachetools \
	python3-structlog python3-prometheus-client python3-h11 python3-tqdm \
	python3-msgpack python3-systemd python3-bcrypt python3-yaml python3-lark python3-urwid \
	python3-wcwidth python3-regex
TEST_PACKAGES := git gcc libc6-dev python3-dev python3-venv python3-hatchling curl groff-base \
	openssl jq procps iproute2 systemd python3-selenium
# large, and each for a few tests, which skip without it
MORE_TEST_PACKAGES := prometheus python3-matplotlib stress-ng chromium chromium-driver zsh fish
VM_PACKAGES := qemu-system-x86 busybox-static systemd-journal-remote autopkgtest
BENCH_PACKAGES := forkstat bpftrace libbpf-tools valgrind
DEB_PACKAGES := build-essential dpkg-dev debhelper lintian dh-python pybuild-plugin-pyproject python3-all python3-hatchling \
	python3-uvloop python3-cachetools

# the package as the .deb has it, with what packaging/compile compiles; the rest are links to the source
COMPILED := build/compiled
WITH_COMPILED := PYTHONPATH=$(CURDIR)/$(COMPILED)
# what runs compiled code: the core, rendering and draining by themselves, and all that streams of events go through
COMPILED_TESTS := tests/unit/core tests/unit/kernel tests/unit/sinks tests/unit/test_compiled.py tests/unit/recording/test_format.py \
	tests/unit/daemon/test_loop.py tests/unit/test_work_per_event.py tests/property tests/kernel \
	tests/e2e/test_faults.py tests/e2e/test_output.py tests/e2e/test_replay.py tests/e2e/test_restart.py \
	tests/e2e/test_restart_unwritten.py tests/e2e/test_streams.py tests/hostile/test_large_text.py tests/hostile/test_siege.py

.PHONY: run test test-packages check format bench docs fixtures deb test-systemd test-distros test-vm soak fuzz clean

run: .venv/run.stamp
	@exec $(BIN)/agentd run $(ARGS)

test: .venv/dev.stamp
	$(BIN)/pytest $(ARGS)
	@$(MAKE) --no-print-directory $(COMPILED)/stamp
	$(WITH_COMPILED) $(BIN)/pytest --import-mode=append $(if $(findstring tests/,$(ARGS)),,$(COMPILED_TESTS)) $(ARGS)

test-packages:
	@packaging/install-packages $(MORE_TEST_PACKAGES)

check: .venv/dev.stamp
	$(BIN)/ruff format --check agentd tests bench
	$(BIN)/ruff check agentd tests bench
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit/test_structure.py

format: .venv/dev.stamp
	$(BIN)/ruff format agentd tests bench
	$(BIN)/ruff check --fix agentd tests bench

bench: .venv/dev.stamp $(COMPILED)/stamp
	@packaging/install-packages $(BENCH_PACKAGES)
	bench/build.sh
	$(WITH_COMPILED) $(BIN)/python bench/run.py
	$(WITH_COMPILED) $(BIN)/python bench/replay.py
	$(WITH_COMPILED) $(BIN)/python bench/growth.py
	$(WITH_COMPILED) $(BIN)/python bench/instructions.py
	$(WITH_COMPILED) $(BIN)/python bench/compare.py --plot bench/build/compare.svg $(ARGS)

docs: .venv/dev.stamp
	@mkdir -p build/man
	$(BIN)/python packaging/man.py build/man
	cp build/man/config.md docs
	$(BIN)/python packaging/pages.py
	$(BIN)/python packaging/openapi.py
	$(BIN)/python -m tests.shown

fixtures: .venv/dev.stamp
	$(BIN)/python -m tests.fixtures.make

test-systemd: .venv/dev.stamp
	@packaging/install-packages $(DEB_PACKAGES) $(VM_PACKAGES)
	@packaging/build-deb dist
	@mkdir -p dist/newer
	@tests/vm/newer-package dist/agentd_*.deb dist/newer/agentd.deb
	$(BIN)/python -m tests.vm.run bookworm tests/vm/systemd-guest $(CURDIR)/dist

DISTROS := trixie bookworm
HOW := all
test-distros:
	@packaging/install-packages debootstrap
	@tests/distros/all $(HOW) $(DISTROS)

test-vm: .venv/dev.stamp
	@packaging/install-packages $(VM_PACKAGES)
	$(BIN)/python -m tests.vm.table $(ARGS)

fuzz: .venv/dev.stamp
	AGENTD_FUZZ_SECONDS=$$(( $(or $(MINUTES),30) * 60 )) $(BIN)/pytest tests/fuzz $(if $(TARGET),-k $(TARGET)) $(ARGS)

soak: .venv/dev.stamp
	$(BIN)/python -m tests.soak $(or $(MINUTES),30)

deb: .venv/dev.stamp
	@packaging/install-packages $(DEB_PACKAGES)
	@packaging/build-deb dist $(WITH)

clean:
	rm -rf .venv .vm build bench/build dist

$(COMPILED)/stamp: .venv/dev.stamp packaging/compile agentd $(wildcard $(foreach folder,core kernel sinks,agentd/$(folder)/*.py agentd/$(folder)/*/*.py))
	@rm -rf $(COMPILED)
	@mkdir -p $(COMPILED)/agentd
	@ln -s $(CURDIR)/agentd/* $(COMPILED)/agentd
	@rm $(COMPILED)/agentd/core $(COMPILED)/agentd/kernel $(COMPILED)/agentd/sinks
	@cp -r agentd/core agentd/kernel agentd/sinks $(COMPILED)/agentd
	@packaging/step "compiling what every event goes through: mypyc and gcc, one to two minutes" \
		$(BIN)/python packaging/compile $(COMPILED)
	@touch $@

# Nothing is fetched but Debian's packages: a path file and a script are all that pip would make.
.venv/run.stamp: pyproject.toml packaging/install-packages packaging/editable.py
	@packaging/install-packages $(RUN_PACKAGES)
	@$(PYTHON) -m venv --without-pip --system-site-packages .venv
	@$(BIN)/python packaging/editable.py
	@touch $@

.venv/dev.stamp: .venv/run.stamp packaging/dev_requirements.py
	@packaging/install-packages $(TEST_PACKAGES)
	@$(PYTHON) -m venv --system-site-packages .venv
	@packaging/step "fetching mypy, pytest, ruff and others from PyPI: 60 MB, half a minute" \
		$(BIN)/pip install --disable-pip-version-check $$($(BIN)/python packaging/dev_requirements.py)
	@touch $@
