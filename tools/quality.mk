# SPDX-License-Identifier: MIT
#
# Static analysis and coverage.

.PHONY: lint
lint:
	$(DEPS) build lint
	+$(Q)tools/lint

.PHONY: coverage
coverage:
	$(DEPS) build check
	+$(Q)tools/coverage
