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

# From what is committed. The check is not among those of `make check`: it takes a minute.
.PHONY: deb check-deb
deb:
	$(DEPS) build deb
	+$(Q)tools/deb
check-deb:
	$(DEPS) build deb
	+$(Q)tests/run tests/package/deb.sh
