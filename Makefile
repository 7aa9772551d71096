# Everything that is slow to make is cached below $(CACHE), so that a second checkout starts warm.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/atelier
export CARGO_TARGET_DIR ?= $(CACHE)/target

MUSL := x86_64-unknown-linux-musl
# By version, so that a new one does not meet what an old one left.
DENY_VERSION := 0.20.2
DENY := $(CACHE)/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

# Programs that suites need beside Rust: package and a command of it.
NEEDED := nginx-light:nginx git:git musl-tools:musl-gcc chromium:chromium docker-registry:docker-registry skopeo:skopeo busybox-static:busybox buildah:buildah debootstrap:debootstrap

.PHONY: test-cluster test-kube bench-kube cluster cluster-down up setup build agent web web-test test test-browser test-long fuzz bench bench-sync bench-growth bench-images test-images test-ide lint fmt deny

# Builds everything and serves an instance with a sample; prints one URL.
up: web build
	@ln -sf "$$(realpath "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent")" "$(CARGO_TARGET_DIR)/release/atelier-agent"
	"$(CARGO_TARGET_DIR)/release/atelier" up $(UP)

# Installs what is missing, where that can be done; elsewhere it says what suites will have to do without.
setup:
	@missing=""; for pair in $(NEEDED); do PATH="$$PATH:/usr/sbin" command -v $${pair#*:} >/dev/null || missing="$$missing $${pair%:*}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
	else echo "not installed, and not mine to install:$$missing"; fi

build: agent
	cargo build --release --locked -p control

# Static, because it runs in images of any make.
agent:
	@command -v rustup >/dev/null && rustup target add $(MUSL) || echo "rustup is not here: the target $(MUSL) has to be"
	cargo build --profile agent --target $(MUSL) --locked -p agent

# The web UI, from the committed client of the committed OpenAPI document.
web: web/node_modules
	cd web && npm run build

web-test: web/node_modules
	cd web && npm run check && npm test

web/node_modules: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

test: setup lint web-test
	cargo test --workspace --locked --no-fail-fast
	$(MAKE) test-browser
	$(MAKE) test-cluster

# The main job as a person does it, in the system's Chromium.
test-browser: web agent tests/browser/node_modules
	cargo build --locked -p control
	cd tests/browser && ATELIER_BINARY="$(abspath $(CARGO_TARGET_DIR))/debug/atelier" \
	    ATELIER_AGENT_BINARY="$(abspath $(CARGO_TARGET_DIR))/$(MUSL)/agent/atelier-agent" npm test -- administration main-job

# Every tool in the system's Chromium, on this machine's processes: edit, save and run, move a slider, run a cell.
test-ide: web agent tests/browser/node_modules
	@mkdir -p "$(CACHE)/prefix-tests"
	cargo build --locked -p control
	cd tests/browser && ATELIER_KEPT_PREFIX="$(CACHE)/prefix-tests" ATELIER_BINARY="$(abspath $(CARGO_TARGET_DIR))/debug/atelier" \
	    ATELIER_AGENT_BINARY="$(abspath $(CARGO_TARGET_DIR))/$(MUSL)/agent/atelier-agent" flock "$(CACHE)/prefix-tests/lock" npm test -- ides

tests/browser/node_modules: tests/browser/package-lock.json
	cd tests/browser && npm ci --no-audit --no-fund
	@touch $@

# A real one-node Kubernetes on this machine (root, Linux, Go); prints its kubeconfig. Others beside it: NAME=other.
NAME ?= dev
cluster:
	@python3 tests/cluster/cluster.py up $(NAME)

# Studios on a real Kubernetes that is there for these suites only, where this machine can have one; else it says why not.
test-cluster:
	python3 tests/cluster/once.py $(MAKE) test-kube

# The same on the cluster NAME, which is left as it is, or on the one of KUBECONFIG (tests/cluster/suite.py says what it needs).
# All of the workspace is named, so that dependencies are those which `make test` has built.
test-kube: agent
	cargo build --locked -p control
	ATELIER_BINARY="$(abspath $(CARGO_TARGET_DIR))/debug/atelier" \
	    python3 tests/cluster/suite.py $(NAME) "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent" \
	    cargo test --workspace --locked --features suites/kube --test kube -- --test-threads=4
	if [ -z "$$KUBECONFIG" ]; then ATELIER_BINARY="$(abspath $(CARGO_TARGET_DIR))/debug/atelier" \
	    python3 tests/cluster/suite.py $(NAME) "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent" \
	    cargo test --workspace --locked --features suites/kube --test kube_outage -- --test-threads=1; fi

# Starts, commands and stops of a studio in a cluster, beside kubectl's; JSON below target/bench.
bench-kube: agent
	cargo build --release --locked -p control
	ATELIER_BINARY="$(abspath $(CARGO_TARGET_DIR))/release/atelier" \
	    python3 tests/cluster/suite.py $(NAME) "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent" \
	    python3 tests/bench/kube.py target/bench/kube.json

cluster-down:
	@python3 tests/cluster/cluster.py down $(NAME)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features suites/kube --locked -- -D warnings

fmt:
	cargo fmt --all

deny: $(DENY)
	$(DENY) check

$(DENY):
	cargo install --locked cargo-deny --version $(DENY_VERSION) --root $(CACHE)/tools/cargo-deny-$(DENY_VERSION)

# Speed and memory, beside a real nginx; JSON below target/bench. Not a test: numbers of a busy machine prove nothing.
bench: web build
	cargo build --release --locked -p control --example proxy_bench
	python3 tests/bench/bench.py "$(CARGO_TARGET_DIR)/release/atelier" "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent" \
	    "$(CARGO_TARGET_DIR)/release/examples/proxy_bench" target/bench/main.json

# Synchronisation beside rsync, unison, syncthing, and mutagen where MUTAGEN names its program with `mutagen-agents.tar.gz` beside it; on a
# local network and on a slow link; as root. JSON below target/bench. `SYNC_BENCH` passes options, such as `--links lan --rounds 1`.
bench-sync: agent
	cargo build --release --locked -p control --bin atelier
	python3 tests/bench/sync/main.py "$(abspath $(CARGO_TARGET_DIR))/release/atelier" \
	    "$(abspath $(CARGO_TARGET_DIR))/$(MUSL)/agent/atelier-agent" target/bench/sync.json $(SYNC_BENCH)

# How the cost of a synchronisation grows; plots in docs/performance. `GROWTH` chooses sizes (tests/bench/growth.py).
bench-growth:
	cargo build --release --locked -p sync --example growth
	python3 tests/bench/growth.py "$(CARGO_TARGET_DIR)/release/examples/growth" target/bench/growth.json docs/performance $(GROWTH)

# How fast images are made, beside a warm buildah; as root. JSON below target/bench.
bench-images: agent
	cargo build --release --locked -p control --bin atelier --example images_bench
	python3 tests/bench/images.py "$(CARGO_TARGET_DIR)/release/atelier" "$(CARGO_TARGET_DIR)/$(MUSL)/agent/atelier-agent" \
	    "$(CARGO_TARGET_DIR)/release/examples/images_bench" target/bench/images.json

# Registry, layers, builders, and images for real; as root. Part of `make test`.
test-images: setup
	cargo test --locked -p control --lib builder::
	cargo test --locked -p control --test images

# Falsified input of each kind for ATELIER_FUZZ_MINUTES (10); what fails once is named, to be kept in sync/tests/fuzz/kept.txt.
fuzz:
	ATELIER_LONG=1 cargo test --release --locked -p sync --test fuzz -- --nocapture --test-threads=2
	ATELIER_LONG=1 cargo test --release --locked -p sync --lib fuzz:: -- --nocapture --test-threads=2

# Everything that takes long by nature, in full: thousands of random histories, hundreds of kills, a million files, a file of
# 5 GiB, and falsified input of each kind for ATELIER_FUZZ_MINUTES (10).
test-long: test
	ATELIER_LONG=1 cargo test --release --locked -p sync
	ATELIER_LONG=1 cargo test --locked -p control --test main_job
