# The face of the CMake build (CMakeLists.txt, CMakePresets.json).  Build trees are build/PRESET.

PREFIX ?= /usr/local
SEED ?= 1

.PHONY: all release asan clang coverage test check demo bench sim-bill fuzz golden real tokens
.PHONY: lint format install clean fresh help

all: release

help:
	@sed -n 's/^#: //p' Makefile

#: make               build the program: build/release/farthing
#: make asan, clang   build it with the sanitizers, with clang
release asan clang:
	@tool/build.sh $@

#: make demo          a sample month, billed and shown
demo: release
	@tool/demo.sh

#: make test          the whole suite; T=SUBSTRING picks tests and cases
test:
	@tool/test.sh $(T)

#: make check         the longer checks, with their figures
check:
	@tool/check.sh

#: make bench         speed, side by side with DuckDB and ClickHouse; see bench/README.md
bench: release
	@bench/run.sh

#: make sim-bill      one simulated month against the naive rater; SEED=N repeats one
sim-bill: release
	@test/sim/run.sh $(SEED)

#: make fuzz          each fuzz target for SECONDS=60
fuzz:
	@tool/fuzz.sh $(SECONDS)

#: make golden        the worked cases that are handed over, where they are there
golden: release
	@tool/golden.sh

#: make real          a provider's bill of MONTH=2018-10 in DATA=folder, billed again and compared
DATA ?= ../shared/data/aws_cur_2018
MONTH ?= 2018-10
real: release
	@/usr/bin/python3 test/real/real.py --data "$(DATA)" --month "$(MONTH)"

#: make tokens        requests to language models, at prices that depend on their size, calculated again
LLM ?= ../shared/data/llm
tokens: release
	@/usr/bin/python3 test/real/tokens.py --data "$(LLM)" --seed $(SEED)

#: make coverage      the lines that the tests reach, by file
coverage:
	@tool/coverage.sh

#: make lint          layers, purity, headers that compile alone
lint:
	@tool/build.sh release
	@tool/lint.sh build/release

#: make format        clang-format over our sources
format:
	@find src include test bench examples -name '*.[ch]' -exec clang-format -i {} +

#: make install       to PREFIX=/usr/local
install: release
	@cmake --install build/release --prefix $(PREFIX)

#: make fresh         RUN="make demo" in a new Debian 12 (needs root and debootstrap)
RUN ?= make demo
fresh:
	@tool/fresh.sh $(RUN)

#: make clean         removes the build trees; fetched sources stay
clean:
	@find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true
