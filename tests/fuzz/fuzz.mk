# SPDX-License-Identifier: MIT
#
# Fuzz targets: one program for each tests/fuzz/fuzz_*.c, built by clang with libFuzzer, ASan
# and UBSan, all of the library and the simulated Xen included. `make fuzz` runs each for
# FUZZ_RUNS inputs; `make check` for a few.

FUZZ_TARGETS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SAN := address,undefined,fuzzer-no-link
FUZZ_RUNS ?= 10000000

# Sources of one target besides its own: <name>_SOURCES.
fuzz_cache_SOURCES := tests/fuzz/cache_model.c
fuzz_virtio_blk_SOURCES := $(addprefix examples/virtio-blk/,blk.c blk_file.c blk_request.c \
	guest.c virtio_mmio.c virtqueue.c)

ifeq ($(SAN),$(FUZZ_SAN))
$(foreach target,$(FUZZ_TARGETS),$(eval $(call program,$(B)/$(basename $(target)),\
	$(target) $($(notdir $(basename $(target)))_SOURCES),\
	$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),$(XENSIM_LDFLAGS) -fsanitize=fuzzer -lpthread)))

.PHONY: fuzz-programs
fuzz-programs: $(addprefix $(B)/,$(basename $(FUZZ_TARGETS)))
endif

.PHONY: fuzz
fuzz:
	$(Q)tests/fuzz/check_fuzz.sh $(FUZZ_RUNS)

# A sanitized build runs it once more for nothing: it is sanitized anyway.
ifeq ($(SAN),)
CHECKS += tests/fuzz/check_fuzz.sh
endif
