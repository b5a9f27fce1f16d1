# SPDX-License-Identifier: MIT
#
# Real QEMU on a real Xen (tests/qemu/README.md): what runs in the guest and in dom0. Not with
# sanitizers, not when cross-compiling.

ifeq ($(SAN)$(CROSS_COMPILE)$(filter-out x86_64,$(shell uname -m)),)

# The layer against the headers that stand in for QEMU's; tests/qemu/build does it with QEMU's own.
$(B)/obj/tests/qemu/interface.o: EXTRA_CFLAGS = -Iexamples/qemu/headers
ALL += $(B)/obj/tests/qemu/interface.o

$(eval $(call program,$(B)/qemu/programs/guest,$(sort $(wildcard tests/qemu/guest/*.c)),,-static))
$(eval $(call program,$(B)/qemu/programs/answer-times,tests/qemu/dom0/answer_times.c,,-static))

$(B)/qemu/programs/disk.img: $(B)/qemu/programs/guest
	$(Q)$< fill $@ 18

QEMU_FILES := $(addprefix $(B)/qemu/programs/,guest answer-times disk.img)

.PHONY: check-qemu check-qemu-short run-check-qemu run-check-qemu-short
check-qemu check-qemu-short:
	$(DEPS) build check xen qemu
	+$(Q)$(SUBMAKE) run-$@
run-check-qemu: $(QEMU_FILES)
	@mkdir -p $(B)/check
	+@tests/qemu/check figures >$(B)/check/qemu-figures.txt 2>&1 & \
	tests/qemu/check all; all=$$?; wait $$!; figures=$$?; \
	cat $(B)/check/qemu-figures.txt; [ $$all -eq 0 ] && exit $$figures
run-check-qemu-short: $(QEMU_FILES)
	+@tests/run tests/qemu/check

endif
