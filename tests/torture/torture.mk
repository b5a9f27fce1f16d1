# SPDX-License-Identifier: MIT
#
# make torture: the long run (TORTURE_ACCESSES checked accesses; TORTURE_SEED). make check has
# a short one, make check-torture a shorter one, for builds with a sanitizer.

TORTURE_ACCESSES ?= 100000000
TORTURE_SEED ?= 1

TORTURE := $(B)/tests/torture/torture
TORTURE_SOURCES := $(sort $(wildcard tests/torture/*.c)) bench/histogram.c \
	tests/support/rig.c tests/support/rig_device.c

$(eval $(call program,$(TORTURE),$(TORTURE_SOURCES),$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),\
	$(XENSIM_LDFLAGS) $(CMOCKA_LIBS) -lpthread))

.PHONY: torture
torture: $(TORTURE)
	$(Q)$(if $(findstring thread,$(SAN)),setarch -R) $(TORTURE) --accesses $(TORTURE_ACCESSES) --seed $(TORTURE_SEED) --verbose

CHECKS += $(TORTURE)

.PHONY: check-torture
check-torture: $(TORTURE)
	@TORTURE_ACCESSES=100000 tests/run $(TORTURE)
