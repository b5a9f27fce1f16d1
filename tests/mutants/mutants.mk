# SPDX-License-Identifier: MIT
#
# Sources that are broken on purpose, and the tests that must notice: tests/mutants/run. The
# copy is built without sanitizers, and natively.

ifeq ($(SAN)$(CROSS_COMPILE),)
CHECKS += tests/mutants/check_quick.sh
endif

.PHONY: mutants run-mutants
mutants:
	$(DEPS) build check
	+$(Q)$(SUBMAKE) run-mutants
run-mutants:
	$(Q)tests/mutants/run $(MUTANTS)
