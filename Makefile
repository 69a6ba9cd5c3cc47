# make test     all tests, with the race detector where the machine has a C compiler; installs what they need
# make check    everything CI runs, the tests last
# make fuzz     every fuzz target for FUZZTIME each
# make sim      the crash simulation of the file store over SEEDS seeds
# make faults   the faults of a replicated log over SEEDS seeds, each every fault once
# make bench    the benchmark table; make peers the same work on other Go libraries

GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOTESTSUM := gotest.tools/gotestsum@v1.13.0
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
FUZZTIME  ?= 10s
SEEDS     ?= 500

# The race detector needs cgo, and cgo a C compiler.
RACE = $(shell CGO_ENABLED=1 go build -race runtime/cgo 2>/dev/null && echo -race)

.PHONY: test packages check fmt vet lint tidy cross modules fuzz sim bench peers

test: packages
	@[ -n "$(RACE)" ] || echo "no C compiler: the tests run without the race detector" >&2
	go run $(GOTESTSUM) --format pkgname-and-test-fails --hide-summary=output -- $(RACE) -timeout 40m ./...

packages:
	@.ci/packages

check: fmt vet lint tidy cross modules test

fmt:
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "not formatted by gofmt:"; echo "$$out"; exit 1; }

vet:
	go vet ./...

lint:
	go run $(GOLANGCI) run ./...

tidy:
	go mod tidy -diff
	cd bench/peers && go mod tidy -diff

# Built for each platform, run on none but this one.
cross:
	@for p in $(PLATFORMS); do \
		echo "build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build ./... || exit 1; \
	done

modules:
	cd bench/peers && go build ./... && go vet ./...

fuzz:
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

sim:
	go test ./filestore/simtest -timeout 0 -v -run '^TestSim$$' -seeds $(SEEDS)

faults:
	go test ./replica -timeout 0 -v -run '^TestFaults$$' -faults 0 -fault-pause 30s -fault-seeds $(SEEDS)

bench:
	go run ./bench

peers:
	cd bench/peers && go run .
