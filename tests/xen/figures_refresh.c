/* SPDX-License-Identifier: MIT */
/*
 * What the library's misses and refreshes cost for buckets of 4 KiB .. 4 MiB, over what it
 * costs to unmap and map such a bucket. The reclaim thread is off: it has one processor with
 * everybody else here, and would be measured too.
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/statistics.h"
#include "tests/xen/test.h"

static const uint32_t shifts[] = { 12, 14, 16, 18, 20, 22 };
#define SHIFTS (sizeof(shifts) / sizeof(shifts[0]))

enum { MISS_WORD, MISS_WHOLE, REFRESH_WORD, REFRESH_WHOLE, KINDS };

static const char *const names[KINDS] = { "miss_word", "miss_whole", "refresh_word",
					  "refresh_whole" };

struct bucket {
	struct series raw; /* unmap and map, by the backend */
	struct series kind[KINDS];
};

static struct bucket buckets[SHIFTS];
static int errors[1024];

static double touch(struct mapcache_client *client, uint64_t gpa, size_t length)
{
	uint64_t start = clock_now();
	volatile uint32_t *word;

	mapcache_begin(client);
	word = mapcache_ptr(client, gpa, length, PROT_READ);
	CHECK(word);
	(void)*word;
	mapcache_end(client);
	return (double)(clock_now() - start);
}

static double raw(void *state, uint32_t pages)
{
	void *memory = mapcache_backend_xen.map(state, NULL, FIGURES_BASE / 4096, pages, PROT_READ,
						errors);
	uint64_t start = clock_now();

	CHECK(memory);
	CHECK_EQUAL(mapcache_backend_xen.unmap(state, memory, pages, 0), 0);
	memory = mapcache_backend_xen.map(state, NULL, FIGURES_BASE / 4096, pages, PROT_READ,
					  errors);
	start = clock_now() - start;
	CHECK(memory);
	CHECK_EQUAL(mapcache_backend_xen.unmap(state, memory, pages, 0), 0);
	return (double)start;
}

/* One of each kind, in buckets of its own. */
static void measure(const struct domain *domain, void *state, uint32_t shift, struct bucket *bucket)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domain->id,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD,
					    .bucket_shift = shift };
	size_t size = (size_t)1 << shift;
	struct mapcache_client *client;
	struct mapcache *cache;

	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	touch(client, FIGURES_BASE, 4); /* the first one has more to do */
	series_add(&bucket->kind[MISS_WORD], touch(client, FIGURES_BASE + 2 * size, 4));
	series_add(&bucket->kind[MISS_WHOLE], touch(client, FIGURES_BASE + 4 * size, size));
	series_add(&bucket->raw, raw(state, (uint32_t)(size / 4096)));
	touch(client, FIGURES_BASE + 6 * size, size);
	mapcache_invalidate(cache);
	series_add(&bucket->kind[REFRESH_WORD], touch(client, FIGURES_BASE + 4 * size, 4));
	series_add(&bucket->kind[REFRESH_WHOLE], touch(client, FIGURES_BASE + 6 * size, size));
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
}

static void report(void)
{
	char name[64];

	printf("# over unmap + map of the whole bucket\n# %10s", "KiB");
	for (int kind = 0; kind < KINDS; kind++)
		printf(" %14s", names[kind]);
	printf("\n");
	for (size_t i = 0; i < SHIFTS; i++) {
		printf("# %10u", 1u << (shifts[i] - 10));
		for (int kind = 0; kind < KINDS; kind++) {
			double ratio = series_median_ratio(&buckets[i].kind[kind], &buckets[i].raw);

			printf(" %14.3f", ratio);
			snprintf(name, sizeof(name), "%s_vs_raw_%uk", names[kind],
				 1u << (shifts[i] - 10));
			figures_keep(name, ratio);
		}
		printf("\n");
	}
}

void figures_refresh(const struct domain *domain)
{
	void *state;

	CHECK_EQUAL(mapcache_backend_xen.open(NULL, domain->id, &state), 0);
	for (unsigned int round = 0; round <= figures_rounds(); round++) {
		if (round == 1)
			memset(buckets, 0, sizeof(buckets));
		for (size_t i = 0; i < SHIFTS; i++)
			measure(domain, state, shifts[i], &buckets[i]);
	}
	mapcache_backend_xen.close(state);
	report();
}
