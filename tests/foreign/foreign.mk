# SPDX-License-Identifier: MIT
#
# Other machines: the library, the simulated Xen, the unit tests and a short torture, built for
# arm64 and run by qemu's user emulation, and built as 32-bit programs and run as they are.
# `make check` runs some of it, `make check-arm64` and `make check-m32` all.

ifeq ($(SAN)$(CROSS_COMPILE)$(FOREIGN),)
.PHONY: check-arm64 check-m32
check-arm64 check-m32: check-%:
	$(DEPS) build check
	+$(Q)MAPCACHE_FOREIGN=all tests/run tests/foreign/check_$*.sh

CHECKS += tests/foreign/check_arm64.sh tests/foreign/check_m32.sh
endif

# What a foreign build builds: all, or FOREIGN_TESTS.
.PHONY: foreign-programs
foreign-programs: $(if $(FOREIGN_TESTS),$(addprefix $(B)/tests/unit/,$(FOREIGN_TESTS)),$(CHECKS_UNIT)) \
	$(B)/tests/torture/torture
