/* SPDX-License-Identifier: MIT */
/*
 * INVALIDATE until it can be answered, with 0, 1, 16 and 64 buckets of 1 MiB mapped and
 * touched, and how long the vCPU stands still for it, as the guest sees it: the library, the
 * library when it drains sections first, and a cache that unmaps everything before it answers.
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/qemu_cache.h"
#include "bench/statistics.h"
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#define BALLOON_GFN (GUEST_DATA / GUEST_PAGE_SIZE)
#define ROUND_TRIPS 200
#define MIB (UINT64_C(1) << 20)

static const uint32_t counts[] = { 0, 1, 16, 64 };
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

enum { LAZY, DRAINING, EAGER, MODES };

static const char *const names[MODES] = { "lazy", "draining", "eager" };

struct answer {
	struct series answered; /* ns in the device model */
	struct series still;    /* guest's ticks from hypercall to return */
};

static struct answer answers[MODES][COUNTS];
static struct series round_trip; /* ticks */
static struct qemu_cache eager;

static void eager_invalidate(void)
{
	qemu_cache_invalidate(&eager);
}

/* Have count buckets mapped, all pages of them, in the cache that is measured. */
static void fill(struct emulator *emulator, int mode, uint32_t count)
{
	struct mapcache_client *client = emulator->vcpu[0].client;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t gpa = FIGURES_BASE + i * MIB;
		bool missed;

		if (mode == EAGER) {
			CHECK(qemu_cache_map(&eager, gpa, 0, false, &missed));
			continue;
		}
		mapcache_begin(client);
		CHECK(mapcache_ptr(client, gpa, MIB, PROT_READ | PROT_WRITE));
		mapcache_end(client);
	}
}

/* The reclaim thread's work of one sample must not fall into the next. */
static void settle(struct emulator *emulator)
{
	for (int i = 0; i < 1000 && mapcache_reclaim(emulator->cache, UINT64_MAX); i++)
		test_sleep_ms(1);
}

static void measure(struct emulator *emulator, int mode, size_t which, bool count)
{
	struct answer *answer = &answers[mode][which];
	uint32_t ticks;

	settle(emulator);
	fill(emulator, mode, counts[which]);
	ticks = emulator_call(emulator, 0, COMMAND_TIME_DECREASE, ARGUMENTS(BALLOON_GFN));
	CHECK(ticks > 0);
	if (!count)
		return;
	series_add(&answer->answered, (double)emulator->vcpu[0].answer_ns);
	series_add(&answer->still, ticks);
}

/* Ticks of the guest's clock in a microsecond, from what both sides saw of the same time. */
static double measure_round_trip(struct emulator *emulator)
{
	uint64_t start = clock_now();
	uint32_t ticks = emulator_call(emulator, 0, COMMAND_TIME_NOTHING, ARGUMENTS(ROUND_TRIPS));

	series_add(&round_trip, (double)ticks / ROUND_TRIPS);
	/* A few more round trips than the guest counts: command, argument, result. */
	return (double)ticks / ROUND_TRIPS * (ROUND_TRIPS + 3) * 1000 /
	       (double)(clock_now() - start);
}

static double run(int mode)
{
	struct mapcache_options cache = { .size = sizeof(cache) };
	struct emulator_options options = {
		.cache = &cache,
		.ioreq_flags = mode == DRAINING ? MAPCACHE_IOREQ_DRAIN : 0,
		.raw = mode == EAGER,
		.behaviour = RAW_TELLS,
		.invalidate = eager_invalidate,
	};
	struct emulator emulator;
	struct domain domain;
	double ticks_per_us;

	domain_create(&domain, 1, FIGURES_PAGES, 9);
	CHECK_EQUAL(qemu_cache_open(&eager, &mapcache_backend_xen, domain.id, 20), 0);
	emulator_start(&emulator, &domain, &options);
	ticks_per_us = measure_round_trip(&emulator);
	for (unsigned int round = 0; round <= figures_rounds(); round++)
		for (size_t which = 0; which < COUNTS; which++)
			measure(&emulator, mode, which, round > 0);
	qemu_cache_close(&eager);
	emulator_finish(&emulator);
	return ticks_per_us;
}

static void print_one(const char *what, int mode, uint32_t count, double value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s_%u", what, names[mode], count);
	figures_keep(name, value);
}

static void report(double ticks_per_us)
{
	double trip = series_median(&round_trip);

	printf("# INVALIDATE to answer, us; vCPU stands still, in I/O round trips (%.0f us)\n",
	       trip / ticks_per_us);
	printf("# %10s %8s %12s %12s %12s\n", "", "buckets", "answer us", "still", "still us");
	for (int mode = 0; mode < MODES; mode++) {
		for (size_t i = 0; i < COUNTS; i++) {
			double answered = series_median(&answers[mode][i].answered) / 1000;
			double still = series_median(&answers[mode][i].still);

			printf("# %10s %8u %12.1f %12.2f %12.0f\n", names[mode], counts[i],
			       answered, still / trip, still / ticks_per_us);
			print_one("answer_us", mode, counts[i], answered);
			print_one("still_round_trips", mode, counts[i], still / trip);
		}
	}
	for (size_t i = 1; i < COUNTS; i++) {
		double ratio = series_median(&answers[EAGER][i].answered) /
			       series_median(&answers[LAZY][i].answered);

		printf("# eager answer over lazy answer, %u buckets: %.0f\n", counts[i], ratio);
		print_one("answer_vs_lazy", EAGER, counts[i], ratio);
	}
}

void figures_answer(void)
{
	struct series ticks_per_us = { 0 };

	for (int mode = 0; mode < MODES; mode++)
		series_add(&ticks_per_us, run(mode));
	report(series_median(&ticks_per_us));
}
