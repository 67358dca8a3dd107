# astern: `make` lists what can be made. Everything works from a fresh clone; Go keeps its caches below HOME.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

# Where need.sh puts moto and the command line of AWS, when the machine has none.
export PATH := $(PATH):$(CURDIR)/build/moto/bin

# One way of building for the program, the tests and the tools that read types: what has been compiled once is not compiled again for the
# next. The race detector alone needs a C compiler.
export GOFLAGS     += -trimpath
export CGO_ENABLED := 0

VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STATICCHECK := bin/tools/staticcheck-v0.8.2
BUILD       := go build -buildvcs=false -ldflags '-s -w -X github.com/astern-dev/astern/internal/version.Astern=$(VERSION)'

# What every promise rests on: each statement is run by tests of its own package.
COVERED     := ./internal/engine ./internal/planfile ./internal/store/sqlite ./internal/ledger
# What starts no goroutine of its own (a law of the house) is computation: the race detector takes ten times as long there. bench/detect is a
# program that works on all cores; its tests are one simulation after another.
ALONE       := ./bench/detect ./internal/config ./internal/detect ./internal/ledger ./internal/planfile ./internal/planner ./internal/policy ./internal/watch
# Scripts start the program hundreds of times, and tests of the store make thousands of folders; both take ten times as long under the race detector,
# which sees those of them in which most happens at once. The others run without. The store itself starts one timer and no goroutine; whoever uses it from
# many is tested with the race detector whole.
PROGRAM     := ./cmd/astern
STORE       := ./internal/store/sqlite
AT_ONCE     := ^Test(TwoOperators|Paused|Overdue|InitGoesOn|Store|ReadOnlyBesideWriter|SlowDisk|LogIsWaitedFor|ProcessesRace|ModelOfJournalAndLeases|AppenderRests|AnotherWritesBetween)|^TestScripts$$/^(watch|watching|deploy|rollback|rollback-all|pause|kill|interrupt|take-over|halfway|notify|check|incidents|lab|replay|settle|aws-appconfig|aws-ecs|aws-s3site)$$
# Tests of the application that do one thing again and again: for many seeds, for all plans that are kept, at each point at which a process can
# die. The other tests of the package go the same ways under the race detector.
APP         := ./internal/app
AGAIN       := ^Test(HouseSimulation|HouseSeeds|OutboxSimulation|NobodyVouches|OldJournals|KilledAnywhere|WatchKilled|WatchQuietly|WatchFaults)$$
# Half of most packages' time is waiting for processes and services, so more of them run than there are cores. `make vet` is before; nobody
# takes a debugger to a test that runs once.
TEST        := go test -p 3 -timeout 20m -json -vet=off -ldflags '-s -w'
# The compiler takes half as long for the SDK of AWS, twenty times the code of ours, when it makes it no faster.
RACE        := CGO_ENABLED=1 $(TEST) -race -gcflags 'github.com/aws/...=-N -l'

.PHONY: help build demo test bench proof coverage mutants lint fmt man clean need-go need-lab need-tests gofmt vet staticcheck house race darwin

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: need-go ## build bin/astern
	@$(BUILD) -o bin/astern ./cmd/astern

demo: build ## break a web shop and a system in AWS, and bring them back; JSON=1 prints one JSON document last
	@scripts/need.sh lab || [ "$$CI" != true ]
	@$(BUILD) -o bin/astern-demo ./examples/webshop/cmd/demo
	@bin/astern-demo -astern bin/astern $(if $(filter 1,$(JSON)),-json)

# What needs little but the processor runs beside the tests, which wait for much, and is told after them.
test: need-tests house gofmt vet ## run everything; installs what the tests need when run as root
	@mkdir -p build; \
	nice -n 19 $(MAKE) staticcheck darwin >build/beside.txt 2>&1 & beside=$$!; \
	trap 'kill $$beside; exit 130' INT TERM; \
	$(MAKE) race || failed=1; \
	wait $$beside || failed=1; \
	cat build/beside.txt; \
	[ -z "$${failed:-}" ]

bench: build ## print figures beside real peers, one line of JSON each
	@go run ./bench -astern bin/astern

proof: need-tests ## make all trials of all proofs (hours; may be interrupted; ONLY=NAME makes one); make test makes a share
	@go run ./proof $(if $(ONLY),-only '$(ONLY)')

lint: need-go gofmt vet staticcheck ## gofmt, go vet and staticcheck

fmt: need-go ## write all Go files as gofmt does
	@gofmt -w $$(find . -name '*.go' -not -path './.*' -not -path './bin/*' -not -path './build/*' -not -path '*/testdata/*')

man: need-go ## write man pages and shell completions into build/man
	@go run ./scripts/man -dir build/man -version '$(VERSION)'

clean: ## remove what was built
	@rm -rf bin build

need-go:
	@scripts/need.sh go

need-lab: need-go
	@scripts/need.sh lab

need-tests:
	@scripts/need.sh tests

gofmt:
	@echo '== gofmt' && scripts/gofmt.sh

vet:
	@echo '== go vet' && go vet ./...

staticcheck: $(STATICCHECK)
	@echo '== staticcheck'
	@$(STATICCHECK) ./...

$(STATICCHECK):
	@echo '== installing staticcheck v0.8.2 into bin/tools'
	@GOBIN='$(CURDIR)/bin/tools' go install honnef.co/go/tools/cmd/staticcheck@v0.8.2
	@mv bin/tools/staticcheck $@

# First what is told in a second: the laws of the house.
house:
	@echo '== the laws of the house' && go test -run '^TestHouse' .

# Fuzz targets run on their seeds here. What is one package after the other runs beside the longest of them; its results are told after it.
race:
	@echo '== go test -race' && mkdir -p build
	@covered="$$(go list $(COVERED))" alone="$$(go list $(ALONE) $(STORE))" program="$$(go list $(PROGRAM))"; \
	without() { grep -vxF "$$1"; }; both() { grep -xF "$$1"; }; \
	beside() { \
		$(TEST) -run '$(AGAIN)' $(APP) || failed=1; \
		$(TEST) -skip '$(AT_ONCE)' $(PROGRAM) || failed=1; \
		$(TEST) $$(without "$$covered" <<<"$$alone") || failed=1; \
		$(RACE) -coverprofile=build/coverage.race $$(without "$$alone" <<<"$$covered") || failed=1; \
		$(TEST) -coverprofile=build/coverage.alone $$(both "$$alone" <<<"$$covered") || failed=1; \
		[ -z "$${failed:-}" ]; }; \
	{ $(RACE) -skip '$(AGAIN)' $$(go list ./... | without "$$covered" | without "$$alone" | without "$$program") || failed=1; \
		beside >build/beside.json & \
		$(RACE) -run '$(AT_ONCE)' $(PROGRAM) $(STORE) || failed=1; \
		wait $$! || failed=1; \
		cat build/beside.json; \
		[ -z "$${failed:-}" ]; } | go run ./scripts/test-summary
	@scripts/coverage.sh build/coverage.race build/coverage.alone

# What is asked is whether it builds; nobody runs it, so the compiler need not make it fast.
darwin:
	@echo '== GOOS=darwin GOARCH=arm64'
	@GOOS=darwin GOARCH=arm64 go build -buildvcs=false -gcflags 'all=-N -l -dwarf=false' -ldflags '-s -w' -o /dev/null ./cmd/astern

coverage: need-go ## fail when a statement of the engine, plan files, store or ledger is run by no test of theirs
	@mkdir -p build
	@go test -count=1 -skip '^($(RANDOM))$$' -coverprofile=build/coverage.out $(COVERED) >/dev/null
	@scripts/coverage.sh build/coverage.out

# What these run may depend on a seed or on time.
RANDOM := TestSimulation|TestPowerCuts|TestDamagedState|TestEngineOnFailingDisk|TestModelOfJournalAndLeases|TestProcessesRace

mutants: need-go ## change the engine, plan files, store and ledger in small ways and see that a test notices (an hour; ONLY=FOLDER)
	@nice go run ./scripts/mutants $(ONLY)
