# What a person calls. Each target works on a fresh Debian 12, as root, with git, make and Rust.

.PHONY: build run test lint

# nextest runs the tests side by side; without it, the end-to-end tests wait for each other.
RUNNER := $(if $(shell cargo nextest --version 2>/dev/null),nextest run,test --tests)

build:
	etc/install-deps.sh
	cargo build --release --locked -p levee-proxy -p levee-loadtest

# The demonstration, until Ctrl-C. CHECK=1: fetch pages, compare them, take everything down.
run: build
	etc/demo.sh $(if $(CHECK),check,run)

# Every test, end to end ones included: those run the release binaries.
test: build
	etc/install-deps.sh test
	cargo test --workspace --locked --doc --quiet
	cargo $(RUNNER) --workspace --locked

lint:
	etc/install-deps.sh
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
