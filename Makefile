# What a change has to pass: make test. The other targets are for the day's work.

STATICCHECK ?= go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 2m

.PHONY: all build test check fuzz bench pgo generate
all: build

build:
	go build -o bin/sluice ./cmd/sluice

test: check
	go test -race -timeout 10m ./...
	go test -count=1 -run 'Alloc' ./core/... ./plugins/...

# Everything about the source that needs no running.
check:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not as gofmt writes it: $$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...

# Each fuzz target for FUZZTIME. What it finds is kept in testdata/fuzz beside the test.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -d' ' -f2); do \
	    echo "$$dir $$target"; \
	    go test "$$dir" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

# Go's benchmarks of the parts, and then the whole proxy beside nginx and HAProxy.
bench:
	go test -run '^$$' -bench . -benchmem ./...
	testdata/bench/run

# A new profile for the compiler, from the load that the bench measures.
pgo:
	testdata/bench/profile cmd/sluice/default.pgo

# Files that are made from others.
generate:
	go generate ./...
