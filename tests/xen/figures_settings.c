/* SPDX-License-Identifier: MIT */
/*
 * What an INVALIDATE costs a reader, by bucket size, in units of a map of one page: the time
 * that a fixed number of accesses takes after it, less what they take undisturbed. For rings
 * (a few hot adjacent pages in many places) and for sparse use of all memory; with stale
 * mappings still there when they are used again, and with all of them reclaimed before that:
 * the two ends of what reclaim_ms decides. Counts, not times, so that a busy machine changes
 * all of it alike.
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/statistics.h"
#include <bench/random.h>

#include "tests/xen/test.h"

#define WARM_UP 4 /* INVALIDATEs until the cache knows how its buckets are used */
#define CYCLES 5
#define RINGS 32u
#define RING_PAGES 4u
#define SPARSE_MIB 16u

static const uint32_t shifts[] = { 14, 16, 18, 20, 22 };
#define SHIFTS (sizeof(shifts) / sizeof(shifts[0]))

enum { RINGS_KEPT, RINGS_RECLAIMED, SPARSE_KEPT, SPARSE_RECLAIMED, KINDS };

static const char *const names[KINDS] = { "rings_kept", "rings_reclaimed", "sparse_kept",
					  "sparse_reclaimed" };
/* Enough to use every ring's every page; a few pages of many buckets. */
static const unsigned int accesses[KINDS] = { 1024, 1024, 64, 64 };

static struct series lost[SHIFTS][KINDS];
static struct series one_page; /* ns of a map of one page */

static uint64_t pick(uint64_t *random, bool rings)
{
	uint64_t value = random_next(random);
	uint64_t offset = value >> 40 & 0xffc;

	if (!rings)
		return FIGURES_BASE + value % (SPARSE_MIB * 256) * 4096 + offset;
	return FIGURES_BASE + value % RINGS * (FIGURES_MIB / RINGS << 20) +
	       (value >> 20) % RING_PAGES * 4096 + offset;
}

static double read_some(struct mapcache_client *client, unsigned int count, uint64_t *random,
			bool rings)
{
	uint64_t start = clock_now();
	volatile uint32_t *word;

	while (count--) {
		mapcache_begin(client);
		word = mapcache_ptr(client, pick(random, rings), 4, PROT_READ);
		CHECK(word);
		(void)*word;
		mapcache_end(client);
	}
	return (double)(clock_now() - start);
}

static void touch_sparse_memory(struct mapcache_client *client)
{
	uint8_t *buffer = malloc(1 << 20);

	CHECK(buffer);
	for (uint64_t mib = 0; mib < SPARSE_MIB; mib++)
		CHECK_EQUAL(mapcache_read(client, FIGURES_BASE + (mib << 20), buffer, 1 << 20),
			    1 << 20);
	free(buffer);
}

static void measure(const struct domain *domain, uint32_t shift, int kind, struct series *series)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domain->id,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD,
					    .bucket_shift = shift };
	bool rings = kind == RINGS_KEPT || kind == RINGS_RECLAIMED;
	bool reclaimed = kind == RINGS_RECLAIMED || kind == SPARSE_RECLAIMED;
	uint64_t random = 88172645463325252u;
	struct mapcache_client *client;
	struct mapcache *cache;
	double undisturbed, disturbed = 0;

	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	if (rings)
		read_some(client, 2 * accesses[kind], &random, rings);
	else
		touch_sparse_memory(client);
	undisturbed = read_some(client, accesses[kind], &random, rings);
	for (int cycle = -WARM_UP; cycle < CYCLES; cycle++) {
		double time;

		mapcache_invalidate(cache);
		while (reclaimed && mapcache_reclaim(cache, UINT64_MAX))
			;
		time = read_some(client, accesses[kind], &random, rings);
		disturbed += cycle < 0 ? 0 : time;
	}
	series_add(series, disturbed / CYCLES - undisturbed);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
}

double figures_one_page(const struct domain *domain)
{
	uint64_t start, time = 0;
	void *state, *memory;
	int error;

	CHECK_EQUAL(mapcache_backend_xen.open(NULL, domain->id, &state), 0);
	for (int i = 0; i < 20; i++) {
		start = clock_now();
		memory = mapcache_backend_xen.map(state, NULL, FIGURES_BASE / 4096, 1, PROT_READ,
						  &error);
		time += clock_now() - start;
		CHECK(memory && !error);
		CHECK_EQUAL(mapcache_backend_xen.unmap(state, memory, 1, 0), 0);
	}
	mapcache_backend_xen.close(state);
	return (double)time / 20;
}

static void report(void)
{
	printf("# reader's time lost to an INVALIDATE, in maps of one page\n# %6s", "KiB");
	for (int kind = 0; kind < KINDS; kind++)
		printf(" %16s", names[kind]);
	printf("\n");
	for (size_t i = 0; i < SHIFTS; i++) {
		printf("# %6u", 1u << (shifts[i] - 10));
		for (int kind = 0; kind < KINDS; kind++) {
			double ratio = series_median_ratio(&lost[i][kind], &one_page);
			char name[64];

			printf(" %16.1f", ratio);
			snprintf(name, sizeof(name), "lost_%s_%uk", names[kind],
				 1u << (shifts[i] - 10));
			figures_keep(name, ratio);
		}
		printf("\n");
	}
}

void figures_settings(const struct domain *domain)
{
	/* A round takes long: a third of them will do. */
	for (unsigned int round = 0; round < (figures_rounds() + 2) / 3; round++) {
		series_add(&one_page, figures_one_page(domain));
		for (size_t i = 0; i < SHIFTS; i++)
			for (int kind = 0; kind < KINDS; kind++)
				measure(domain, shifts[i], kind, &lost[i][kind]);
	}
	report();
}
