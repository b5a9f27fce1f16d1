# SPDX-License-Identifier: MIT
#
# Formatting, static analysis and coverage.

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
