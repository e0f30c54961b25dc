# What a person calls. Each target works on a fresh Debian 12, as root, with git, make and Rust.

.PHONY: build run test soak bench lint

build:
	etc/install-deps.sh
	cargo build --release --locked -p levee-proxy -p levee-loadtest

# The demonstration, until Ctrl-C. CHECK=1: fetch pages, compare them, take everything down.
run: build
	etc/demo.sh $(if $(CHECK),check,run)

# Every test, end to end ones included: those run the release binaries.
test: build
	etc/install-deps.sh test
	tests/run

# All kinds of traffic in turn for MINUTES: memory stays as it is.
soak: build
	etc/install-deps.sh test
	LEVEE_SOAK_SECONDS=$$(($(or $(MINUTES),30) * 60)) cargo test --locked -p levee-tests --test end_to_end soak -- --nocapture

# Levee, nginx and HAProxy in turn, five rounds: the better part of an hour, on a machine that does nothing else.
# BENCH_ARGS='--rounds 1' is a look, BENCH_ARGS=--list shows the rows.
bench: build
	etc/install-deps.sh bench
	$(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/release/levee-load compare $(or $(BENCH_ARGS),--rounds 5)

lint:
	etc/install-deps.sh
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
