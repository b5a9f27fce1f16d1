# SPDX-License-Identifier: MIT
#
# Formatting, static analysis, coverage, and the Debian packages.

.PHONY: lint
lint:
	$(DEPS) build lint
	+$(Q)tools/lint

.PHONY: format
format:
	$(DEPS) lint
	$(Q)find include lib tests examples bench -name '*.[ch]' -exec clang-format -i {} +

.PHONY: coverage
coverage:
	$(DEPS) build check
	+$(Q)tools/coverage

# From what is committed. The checks are not among those of `make check`: one takes a minute,
# the other one some.
.PHONY: deb check-deb check-deb-chroot check-fresh
deb:
	$(DEPS) build deb
	+$(Q)tools/deb
check-deb:
	$(DEPS) build deb
	+$(Q)tests/run tests/package/deb.sh
check-deb-chroot:
	$(DEPS) deb chroot
	+$(Q)tests/run tests/package/deb_chroot.sh
# The README's commands on a fresh Debian: RELEASE=bookworm or trixie.
check-fresh:
	$(DEPS) chroot
	+$(Q)tests/run tests/package/fresh.sh
