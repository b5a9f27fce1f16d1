# SPDX-License-Identifier: MIT
#
# The integration tests on a real Xen: programs that run in dom0, the guest that they create, and
# the checks that boot all of it (tests/xen/README.md). Static programs, of this machine's own kind,
# or with XEN_ARCH=arm64 by a compiler that finds Xen's libraries of that architecture
# (tests/xen/arm64/check). Not with sanitizers.

ifeq ($(SAN)$(CROSS_COMPILE)$(filter-out x86_64,$(shell uname -m)),)
XEN_ARCH := x86
endif

ifneq ($(XEN_ARCH),)

XEN_STATIC_LIBS := -static -lxenctrl -lxenforeignmemory -lxendevicemodel -lxenevtchn -lxengnttab \
	-lxencall -lxentoollog -lxentoolcore -ldl -lpthread

XEN_SUPPORT := $(addprefix tests/xen/,test.c domain.c emulator.c device.c access.c marked.c \
	raw_server.c $(XEN_ARCH)/arch.c)

$(eval $(call program,$(B)/xen/tests,\
	$(sort $(wildcard tests/xen/test_*.c tests/xen/$(XEN_ARCH)/test_*.c)) tests/xen/tests.c $(XEN_SUPPORT),\
	$(LIBMAPCACHE),$(XEN_STATIC_LIBS)))

$(eval $(call program,$(B)/xen/figures,\
	$(sort $(wildcard tests/xen/figures*.c)) $(XEN_SUPPORT) bench/qemu_cache.c bench/statistics.c \
	bench/policy.c bench/workload.c,\
	$(LIBMAPCACHE),$(XEN_STATIC_LIBS) -lm))

# The examples as they are, linked statically, for the tests that have them serve the guest.
$(eval $(call program,$(B)/xen/mmio,examples/mmio/mmio.c,$(LIBMAPCACHE),$(XEN_STATIC_LIBS)))
$(eval $(call program,$(B)/xen/virtio-blk,$(sort $(wildcard examples/virtio-blk/*.c)),\
	$(LIBMAPCACHE_GRANTS) $(LIBMAPCACHE),$(XEN_STATIC_LIBS)))

# The benchmark for a dom0.
$(eval $(call program,$(B)/xen/mapcache-bench-xen,$(filter-out bench/guest_%.c,$(wildcard bench/*.c)) \
	bench/guest_xen.c,$(LIBMAPCACHE_INTERNAL),$$(VIRTUAL_LDFLAGS) $(XEN_STATIC_LIBS) -lm))

# The guest: no C library, no paging; 32-bit on x86. Where it is loaded is GUEST_ENTRY of protocol.h.
ifeq ($(XEN_ARCH),x86)
GUEST_MACHINE := -m32 -fcf-protection=none -mno-sse -mno-mmx -mno-80387
GUEST_ENTRY := 0x100000
else
GUEST_MACHINE := -mgeneral-regs-only -mstrict-align -mno-outline-atomics
GUEST_ENTRY := 0x40100000
endif
GUEST_CFLAGS := $(GUEST_MACHINE) -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
	-ffile-prefix-map=$(CURDIR)=. -I.
GUEST_SOURCES := $(sort $(wildcard $(addprefix tests/xen/guest/,*.c $(XEN_ARCH)/*.S $(XEN_ARCH)/*.c)))
GUEST_OBJECTS := $(addprefix $(B)/obj/,$(addsuffix .guest.o,$(GUEST_SOURCES)))

$(B)/obj/tests/xen/guest/%.guest.o: tests/xen/guest/% $(B)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(B)/xen/guest.elf: tests/xen/guest/guest.ld $(GUEST_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(filter -m32,$(GUEST_MACHINE)) -static -nostdlib -Wl,--build-id=none \
		-Wl,--no-warn-rwx-segments -Wl,--defsym=guest_entry=$(GUEST_ENTRY) -Wl,-T,$< -o $@ $(GUEST_OBJECTS)

$(B)/xen/guest.bin: $(B)/xen/guest.elf
	$(Q)$(OBJCOPY) -O binary $< $@

XEN_FILES := $(addprefix $(B)/xen/,tests figures mmio virtio-blk mapcache-bench-xen guest.bin)

.PHONY: xen-files
xen-files: $(XEN_FILES)

ifeq ($(XEN_ARCH),x86)
# Last of all checks: it takes longest.
CHECKS += tests/xen/check_emulate.sh tests/xen/check
CHECK_FILES += $(XEN_FILES)

.PHONY: check-xen-run
check-xen-run: $(XEN_FILES)
	@tests/run tests/xen/check

# On an emulated arm64 machine.
.PHONY: check-xen-arm64
check-xen-arm64:
	$(DEPS) build xen xen-arm64
	+$(Q)tests/run tests/xen/arm64/check
endif

endif
