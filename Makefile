# Everything that is slow to make is cached below $(CACHE), so that a second checkout starts warm.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/atelier
export CARGO_TARGET_DIR ?= $(CACHE)/target

# The fast linker where there is one; nothing depends on it.
ifneq ($(shell command -v mold),)
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS ?= -C link-arg=-fuse-ld=mold
endif

.PHONY: test lint
test: lint
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
