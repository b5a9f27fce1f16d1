# SPDX-License-Identifier: MIT
#
# One program for each tests/unit/test_*.c, on the simulated Xen. The library is the one with
# its internal names; the one with mapcache_* only is what the examples and benches link.

UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_SUPPORT := $(sort $(wildcard tests/support/*.c))

# Sources of one test besides its own: <name>_SOURCES.
VIRTIO_TESTED := tests/unit/virtio_rig.c $(addprefix examples/virtio-blk/,blk.c blk_file.c \
	blk_request.c guest.c virtio_mmio.c virtqueue.c)
test_virtio_blk_SOURCES := $(VIRTIO_TESTED)
test_virtio_grants_SOURCES := $(VIRTIO_TESTED)
test_virtio_file_SOURCES := examples/virtio-blk/blk_file.c
test_virtio_hostile_SOURCES := $(VIRTIO_TESTED)
test_virtio_mmio_SOURCES := $(VIRTIO_TESTED)
test_virtio_refused_SOURCES := $(VIRTIO_TESTED)
test_virtio_rings_SOURCES := $(VIRTIO_TESTED)

$(foreach test,guest requests,$(eval test_hostile_$(test)_SOURCES := tests/unit/hostile_scene.c))

test_publish_SOURCES := examples/top/page.c
test_diagnose_SOURCES := examples/top/page.c examples/top/screen.c

QEMU_LAYER := examples/dropin/ranges.c examples/dropin/transient.c
test_dropin_qemu7_SOURCES := tests/unit/qemu_stage.c tests/unit/dropin_qemu7.c $(QEMU_LAYER)
$(foreach test,qemu blocks transient reports storms grants settings,$(eval \
	test_dropin_$(test)_SOURCES := tests/unit/qemu_stage.c $(QEMU_LAYER) examples/qemu/xen-mapcache.c))
test_dropin_demu_SOURCES := examples/demu/mapcache.c
test_dropin_demu_LIBRARIES := $(LIBMAPCACHE_GRANTS)
$(call objects,examples/demu/mapcache.c): EXTRA_CFLAGS = -DDEMU_MAPCACHE_GRANTS

$(call objects,$(wildcard tests/unit/*dropin_*.c tests/unit/qemu_*.c)): \
	EXTRA_CFLAGS = -Iexamples/dropin -Iexamples/qemu -Iexamples/qemu/headers -Iexamples/demu

# What the compiler may do, it does, whatever the build's own flags are.
$(call objects,tests/unit/test_compiler_order.c): EXTRA_CFLAGS = -O2 -fstrict-aliasing

# Static libraries of one test besides the library: <name>_LIBRARIES.
test_grants_LIBRARIES := $(LIBMAPCACHE_GRANTS)
$(foreach test,blk grants hostile mmio refused rings,\
	$(eval test_virtio_$(test)_LIBRARIES := $(LIBMAPCACHE_GRANTS)))
$(foreach test,qemu qemu7 blocks transient reports storms grants settings,\
	$(eval test_dropin_$(test)_LIBRARIES := $(LIBMAPCACHE_GRANTS)))

# Linker flags of one test: <name>_LDFLAGS.
test_dirty_pins_LDFLAGS := -Wl,--wrap=section_report
test_barrier_LDFLAGS := -Wl,--wrap=syscall
test_fill_LDFLAGS := -Wl,--wrap=clock_ns
test_batch_LDFLAGS := -Wl,--wrap=clock_ns
test_slot_LDFLAGS := -Wl,--wrap=clock_ns,--wrap=retired_check_pins
test_trim_LDFLAGS := -Wl,--wrap=stripe_newer
test_storm_LDFLAGS := -Wl,--wrap=clock_ns
test_ioreq_enable_LDFLAGS := -Wl,--wrap=xendevicemodel_set_ioreq_server_state

$(foreach test,$(UNIT_TESTS),$(eval $(call program,$(B)/$(basename $(test)),\
	$(test) $(UNIT_SUPPORT) $($(notdir $(basename $(test)))_SOURCES),\
	$($(notdir $(basename $(test)))_LIBRARIES) $(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),\
	$(XENSIM_LDFLAGS) $($(notdir $(basename $(test)))_LDFLAGS) $(CMOCKA_LIBS) -lpthread)))

CHECKS_UNIT := $(addprefix $(B)/,$(basename $(UNIT_TESTS)))
CHECKS += $(CHECKS_UNIT)
