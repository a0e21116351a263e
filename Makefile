# What people type. Each target installs what it needs and is missing (as root, on Debian 12 or newer).

.PHONY: up clean-up install test bench chaos deb tools check

# Try it: bus and panel here, managed hosts (HOSTS=n, default 1) as systemd-nspawn machines. Ctrl-C stops all of it.
up:
	@.ci/up.sh

# Remove what `make up` made.
clean-up:
	@.ci/clean-up.sh

# The Debian packages gantry (panel and bus) and gantry-worker, in target/deb.
deb:
	@.ci/tools.sh build
	@.ci/deb.sh

# This machine becomes a panel and its first server, from those packages; again: brings it up to date.
install:
	@.ci/install.sh

# Everything CI runs.
test:
	@.ci/test.sh

# The quick part: formatting, lints, fast tests.
check:
	@.ci/test.sh fast

# Measure (ONLY=page runs a part); figures go to target/bench/*.json.
bench:
	@.ci/bench.sh

# Faults, at random and at every system call, with an audit after each (SECONDS_LONG=1800 SEED=n ONLY=random|syscalls).
chaos:
	@.ci/chaos.sh

tools:
	@.ci/tools.sh test
