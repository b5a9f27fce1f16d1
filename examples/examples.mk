# SPDX-License-Identifier: MIT
#
# Device models for real Xen, and the demo: the same device on a simulated one.

VIRTIO_BLK := $(addprefix examples/virtio-blk/,blk.c blk_file.c blk_request.c guest.c server.c \
	virtio_mmio.c virtqueue.c workers.c)

$(eval $(call program,$(B)/examples/mmio,examples/mmio/mmio.c,$(LIBMAPCACHE),\
	$(XEN_LIBS) -lxenevtchn))
$(eval $(call program,$(B)/examples/virtio-blk,examples/virtio-blk/main.c $(VIRTIO_BLK),\
	$(LIBMAPCACHE_GRANTS) $(LIBMAPCACHE),$(XEN_LIBS) -lxenevtchn -lxengnttab))
ALL += $(B)/examples/mmio $(B)/examples/virtio-blk

# Shows what a device model publishes.
$(eval $(call program,$(B)/examples/mapcache-top,$(sort $(wildcard examples/top/*.c)),,))
ALL += $(B)/examples/mapcache-top

# ---- drop-in layers for QEMU and DEMU, against headers that stand in for QEMU's ------------

$(foreach folder,dropin qemu demu,$(B)/obj/examples/$(folder)/%.o): \
	EXTRA_CFLAGS = -Iexamples/dropin -Iexamples/qemu -Iexamples/qemu/headers
ALL += $(call objects,$(wildcard examples/dropin/*.c examples/qemu/*.c examples/demu/*.c))

# ---- the demo ---------------------------------------------------------------------------

DEMO_SOURCES := $(addprefix examples/demo/,balloon.c digest.c disk.c driver.c driver_setup.c \
	host.c image.c main.c options.c pool.c registers.c report.c sanitizer.c) bench/histogram.c
DEMO_IMAGE := $(B)/demo/image.ext4
DEMO_ARGS ?=

$(eval $(call program,$(B)/examples/demo,$(DEMO_SOURCES) $(VIRTIO_BLK),\
	$(LIBMAPCACHE) $(LIBXENSIM),$(XENSIM_LDFLAGS) -lpthread))
ALL += $(B)/examples/demo

$(DEMO_IMAGE): examples/demo/make-image
	@mkdir -p $(@D)
	$(Q)examples/demo/make-image $@

.PHONY: run-demo
run-demo: $(B)/examples/demo $(DEMO_IMAGE)
	@$(B)/examples/demo --image $(DEMO_IMAGE) $(DEMO_ARGS)

# ---- the demo, tested -------------------------------------------------------------------

DEMO_SMALL := $(B)/demo/small.ext4

$(DEMO_SMALL): examples/demo/make-image
	@mkdir -p $(@D)
	$(Q)examples/demo/make-image $@ 8 >/dev/null

# A demo whose device model ignores INVALIDATE: the control.
$(eval $(call program,$(B)/tests/unit/demo_deaf,\
	tests/unit/demo_deaf.c $(DEMO_SOURCES) $(VIRTIO_BLK),$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),\
	$(XENSIM_LDFLAGS) -Wl$(comma)--wrap=mapcache_invalidate -lpthread))

CHECKS += tests/unit/test_demo.sh
UNIT_FILES += $(B)/examples/demo $(B)/tests/unit/demo_deaf $(DEMO_SMALL)
