# SPDX-License-Identifier: MIT
#
# The integration test on a real Xen: programs that run in dom0, the guest that they create,
# and the check that boots all of it (tests/xen/README.md). Static programs of this machine's
# own kind: not with sanitizers, not when cross-compiling.

ifeq ($(SAN)$(CROSS_COMPILE)$(filter-out x86_64,$(shell uname -m)),)

XEN_STATIC_LIBS := -static -lxenctrl -lxenforeignmemory -lxendevicemodel -lxenevtchn \
	-lxengnttab -lxencall -lxentoollog -lxentoolcore -ldl -lpthread

XEN_SUPPORT := $(addprefix tests/xen/,test.c domain.c emulator.c device.c access.c raw_server.c)

$(eval $(call program,$(B)/xen/tests,\
	$(sort $(wildcard tests/xen/test_*.c)) tests/xen/tests.c $(XEN_SUPPORT),\
	$(LIBMAPCACHE),$(XEN_STATIC_LIBS)))

$(eval $(call program,$(B)/xen/figures,\
	$(sort $(wildcard tests/xen/figures*.c)) $(XEN_SUPPORT) bench/qemu_cache.c bench/statistics.c \
	bench/policy.c bench/workload.c,\
	$(LIBMAPCACHE),$(XEN_STATIC_LIBS) -lm))

# The example as it is, linked statically, for the test that has it serve the guest.
$(eval $(call program,$(B)/xen/virtio-blk,$(sort $(wildcard examples/virtio-blk/*.c)),\
	$(LIBMAPCACHE),$(XEN_STATIC_LIBS)))

# The benchmark for a dom0.
$(eval $(call program,$(B)/xen/mapcache-bench-xen,$(filter-out bench/guest_%.c,$(wildcard bench/*.c)) \
	bench/guest_xen.c,$(LIBMAPCACHE_INTERNAL),$$(VIRTUAL_LDFLAGS) $(XEN_STATIC_LIBS) -lm))

# The guest: 32-bit, no C library, no paging.
GUEST_CFLAGS := -m32 -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -mno-sse -mno-mmx \
	-mno-80387 -ffile-prefix-map=$(CURDIR)=. -I.
GUEST_SOURCES := $(sort $(wildcard tests/xen/guest/*.S tests/xen/guest/*.c))
GUEST_OBJECTS := $(addprefix $(B)/obj/,$(addsuffix .guest.o,$(GUEST_SOURCES)))

$(B)/obj/tests/xen/guest/%.guest.o: tests/xen/guest/% $(B)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(B)/xen/guest.elf: tests/xen/guest/guest.ld $(GUEST_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -m32 -static -nostdlib -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-T,$< -o $@ $(GUEST_OBJECTS)

$(B)/xen/guest.bin: $(B)/xen/guest.elf
	$(Q)$(OBJCOPY) -O binary $< $@

XEN_FILES := $(addprefix $(B)/xen/,tests figures virtio-blk mapcache-bench-xen guest.bin)

# Last of all checks: it takes longest.
CHECKS += tests/xen/check_emulate.sh tests/xen/check
CHECK_FILES += $(XEN_FILES)

.PHONY: check-xen-run
check-xen-run: $(XEN_FILES)
	@tests/run tests/xen/check

endif
