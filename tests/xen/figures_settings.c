/* SPDX-License-Identifier: MIT */
/*
 * Which settings suit a reader while the guest balloons: accesses in a fixed time with an
 * INVALIDATE every now and then, by bucket size and reclaim age, for rings (a few hot
 * adjacent pages in many places) and for uniform use of all memory.
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/statistics.h"
#include "tests/xen/test.h"

#define PERIOD_NS UINT64_C(50000000)
#define WARM_UP 6 /* periods until the cache has settled */
#define PERIODS 8
#define RINGS 32u
#define RING_PAGES 4u

struct pattern {
	struct series accesses;
	struct series maps, pages; /* for each INVALIDATE */
};

struct setting {
	uint32_t bucket_shift, reclaim_ms;
	struct pattern rings, uniform;
};

static struct setting settings[] = {
	{ .bucket_shift = 14, .reclaim_ms = 40 },  { .bucket_shift = 16, .reclaim_ms = 40 },
	{ .bucket_shift = 18, .reclaim_ms = 40 },  { .bucket_shift = 20, .reclaim_ms = 40 },
	{ .bucket_shift = 22, .reclaim_ms = 40 },  { .bucket_shift = 20, .reclaim_ms = 5 },
	{ .bucket_shift = 20, .reclaim_ms = 200 },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))
#define DEFAULT_SETTING 3

static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t pick(uint64_t *random, bool rings)
{
	uint64_t value = next(random);
	uint64_t offset = value >> 40 & 0xffc;

	if (!rings)
		return FIGURES_BASE + value % (FIGURES_MIB * 256) * 4096 + offset;
	return FIGURES_BASE + value % RINGS * (FIGURES_MIB / RINGS << 20) +
	       (value >> 20) % RING_PAGES * 4096 + offset;
}

/* Accesses until the time is over. */
static uint64_t read_until(struct mapcache_client *client, uint64_t end, uint64_t *random,
			   bool rings)
{
	uint64_t accesses = 0;
	volatile uint32_t *word;

	do {
		for (int i = 0; i < 16; i++) {
			mapcache_begin(client);
			word = mapcache_ptr(client, pick(random, rings), 4, PROT_READ);
			CHECK(word);
			(void)*word;
			mapcache_end(client);
		}
		accesses += 16;
	} while (test_now_ns() < end);
	return accesses;
}

static void measure(const struct domain *domain, const struct setting *setting, bool rings,
		    struct pattern *pattern)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domain->id,
					    .bucket_shift = setting->bucket_shift,
					    .reclaim_ms = setting->reclaim_ms };
	struct mapcache_stats before = { .size = sizeof(before) }, after = before;
	uint64_t random = 88172645463325252u, accesses = 0, end;
	struct mapcache_client *client;
	struct mapcache *cache;

	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	end = test_now_ns();
	for (int period = -WARM_UP; period < PERIODS; period++) {
		if (period == 0) {
			CHECK_EQUAL(mapcache_stats(cache, &before), 0);
			accesses = 0;
		}
		end += PERIOD_NS;
		accesses += read_until(client, end, &random, rings);
		mapcache_invalidate(cache);
	}
	CHECK_EQUAL(mapcache_stats(cache, &after), 0);
	series_add(&pattern->accesses, (double)accesses);
	series_add(&pattern->maps, (double)(after.map_calls - before.map_calls) / PERIODS);
	series_add(&pattern->pages, (double)(after.pages_mapped - before.pages_mapped) / PERIODS);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
}

static void report_pattern(const struct setting *setting, const char *what,
			   const struct pattern *pattern, const struct pattern *usual)
{
	double ratio = series_median_ratio(&pattern->accesses, &usual->accesses);
	char name[64];

	printf(" %8.2f %6.0f %6.0f", ratio, series_median(&pattern->maps),
	       series_median(&pattern->pages));
	snprintf(name, sizeof(name), "accesses_%s_%uk_reclaim_%u", what,
		 1u << (setting->bucket_shift - 10), setting->reclaim_ms);
	figures_keep(name, ratio);
}

static void report(void)
{
	const struct setting *usual = &settings[DEFAULT_SETTING];

	printf("# accesses with an INVALIDATE every %llu ms, over the default settings'; map calls\n"
	       "# and pages mapped for each INVALIDATE\n",
	       (unsigned long long)(PERIOD_NS / 1000000));
	printf("# %6s %10s %8s %6s %6s %8s %6s %6s\n", "KiB", "reclaim ms", "rings", "maps",
	       "pages", "uniform", "maps", "pages");
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *setting = &settings[i];

		printf("# %6u %10u", 1u << (setting->bucket_shift - 10), setting->reclaim_ms);
		report_pattern(setting, "rings", &setting->rings, &usual->rings);
		report_pattern(setting, "uniform", &setting->uniform, &usual->uniform);
		printf("\n");
	}
}

void figures_settings(const struct domain *domain)
{
	/* A round takes long: few of them. */
	for (unsigned int round = 0; round < (figures_rounds() + 6) / 7; round++) {
		for (size_t i = 0; i < SETTINGS; i++) {
			measure(domain, &settings[i], true, &settings[i].rings);
			measure(domain, &settings[i], false, &settings[i].uniform);
		}
	}
	report();
}
