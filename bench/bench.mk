# SPDX-License-Identifier: MIT
# The benchmark: build/bench/mapcache-bench on the simulator, mapcache-bench-xen for a dom0.

BENCH_SOURCES := $(filter-out bench/guest_%.c,$(wildcard bench/*.c))

# A loop of a dozen instructions takes half as long again when it straddles fetch blocks: the
# same start for every contestant, or chance decides.
$(B)/obj/bench/contestant_%.o: EXTRA_CFLAGS = -falign-functions=64 -falign-loops=64

# vstorm has a clock of its own, and looks when the reclaim thread would.
VIRTUAL_LDFLAGS := -Wl,--wrap=clock_ns,--wrap=clock_sleep_ns,--wrap=pace_pause

$(eval $(call program,$(B)/bench/mapcache-bench,$(BENCH_SOURCES) bench/guest_xensim.c,\
	$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),$(XENSIM_LDFLAGS) $(VIRTUAL_LDFLAGS) -lpthread -lm))
$(eval $(call program,$(B)/bench/mapcache-bench-xen,$(BENCH_SOURCES) bench/guest_xen.c,\
	$(LIBMAPCACHE_INTERNAL),$(VIRTUAL_LDFLAGS) $(XEN_LIBS) -lpthread -lm))

# Figures need a machine to themselves, and exit status 0 whatever they are.
.PHONY: run-bench run-bench-quick
run-bench-quick: $(B)/bench/mapcache-bench
	@$(B)/bench/mapcache-bench --json $(B)/bench/quick.json --csv $(B)/bench/quick.csv quick

run-bench: $(B)/bench/mapcache-bench
	@$(B)/bench/mapcache-bench --json $(B)/bench/results.json --csv $(B)/bench/results.csv full
	@bench/plots/plot $(B)/bench/results.csv $(B)/bench

# How many instructions the hot paths take, held against bench/instructions/expected. Without
# debug information, since valgrind does not read all that clang writes.
$(eval $(call program,$(B)/bench/instructions,bench/instructions/instructions.c,\
	$(LIBMAPCACHE),-s $(XEN_LIBS) -lpthread))
CHECKS += bench/instructions/check
CHECK_FILES += $(B)/bench/instructions

$(eval $(call program,$(B)/bench/test_bench,bench/tests/test_bench.c bench/histogram.c \
	bench/statistics.c bench/workload.c bench/qemu_cache.c,,$(CMOCKA_LIBS) -lpthread -lm))
$(eval $(call program,$(B)/bench/tests/test_vstorm,bench/tests/test_vstorm.c bench/virtual.c \
	bench/virtual_load.c bench/workload.c,$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),\
	$(XENSIM_LDFLAGS) $(VIRTUAL_LDFLAGS) $(CMOCKA_LIBS) -lpthread -lm))
CHECKS += $(B)/bench/test_bench $(B)/bench/tests/test_vstorm bench/tests/check_bench.sh
CHECK_FILES += $(B)/bench/mapcache-bench
