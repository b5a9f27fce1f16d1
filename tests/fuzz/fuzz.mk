# SPDX-License-Identifier: MIT
#
# Fuzz targets: one program for each tests/fuzz/fuzz_*.c, built by clang with libFuzzer, ASan
# and UBSan, all of the library and the simulated Xen included. `make fuzz` runs each for
# FUZZ_RUNS inputs; `make check` for a few.

FUZZ_TARGETS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SAN := address,undefined,fuzzer-no-link
FUZZ_RUNS ?= 10000000
FUZZ_LDFLAGS := -Wl,--wrap=clock_ns,--wrap=clock_sleep_ns,--wrap=sched_yield,--wrap=mincore

# Sources of one target besides its own: <name>_SOURCES.
fuzz_cache_SOURCES := $(wildcard tests/fuzz/cache_*.c)
fuzz_virtio_blk_SOURCES := $(addprefix examples/virtio-blk/,blk.c blk_file.c blk_request.c \
	guest.c virtio_mmio.c virtqueue.c)

ifeq ($(SAN),$(FUZZ_SAN))
# New ways through the simulated Xen are not what inputs are kept for.
$(B)/obj/tests/xensim/%.o: EXTRA_CFLAGS += -fno-sanitize=fuzzer-no-link
# What is compared is computed from the input, not taken from it: numbers seen there are no help.
$(B)/obj/tests/fuzz/%.o $(B)/obj/lib/%.o: EXTRA_CFLAGS += -fno-sanitize-coverage=trace-cmp
$(foreach target,$(FUZZ_TARGETS),$(eval $(call program,$(B)/$(basename $(target)),\
	$(target) tests/fuzz/time.c $($(notdir $(basename $(target)))_SOURCES),\
	$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),$(XENSIM_LDFLAGS) $(FUZZ_LDFLAGS) -fsanitize=fuzzer -lpthread)))

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
