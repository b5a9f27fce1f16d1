/* SPDX-License-Identifier: MIT */
/* What it costs to map and unmap pieces of 4 KiB .. 4 MiB, without any cache. */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/backend.h>

#include "bench/statistics.h"
#include "tests/xen/test.h"

#define PAGES_MAX 1024u

static const uint32_t sizes[] = { 1, 4, 16, 64, 256, 1024 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct piece {
	struct series map;   /* anywhere */
	struct series unmap; /* and give the addresses back */
	struct series over;  /* map again at the same place, over the old mapping */
	struct series park;  /* unmap, and keep the addresses */
};

static struct piece pieces[SIZES];
static int errors[PAGES_MAX];

static void *map(void *state, void *address, uint32_t pages, struct series *series)
{
	uint64_t start = clock_now();
	void *memory = mapcache_backend_xen.map(state, address, FIGURES_BASE / 4096, pages,
						PROT_READ | PROT_WRITE, errors);

	CHECK(memory && !errors[0]);
	series_add(series, (double)(clock_now() - start));
	return memory;
}

static void unmap(void *state, void *memory, uint32_t pages, int keep, struct series *series)
{
	uint64_t start = clock_now();

	CHECK_EQUAL(mapcache_backend_xen.unmap(state, memory, pages, keep), 0);
	series_add(series, (double)(clock_now() - start));
}

static void measure(void *state, uint32_t pages, struct piece *piece)
{
	void *memory = map(state, NULL, pages, &piece->map);

	map(state, memory, pages, &piece->over);
	unmap(state, memory, pages, 1, &piece->park);
	munmap(memory, (size_t)pages * 4096);
	memory = map(state, NULL, pages, &piece->map);
	unmap(state, memory, pages, 0, &piece->unmap);
}

static void report(void)
{
	double one = series_median(&pieces[0].map);
	char name[64];

	printf("# in units of a map of one page, which took %.0f us\n", one / 1000);
	printf("# %8s %8s %8s %8s %8s\n", "pages", "map", "unmap", "over", "park");
	for (size_t i = 0; i < SIZES; i++) {
		double values[] = { series_median(&pieces[i].map) / one,
				    series_median(&pieces[i].unmap) / one,
				    series_median(&pieces[i].over) / one,
				    series_median(&pieces[i].park) / one };
		static const char *const names[] = { "map", "unmap", "map_over", "park" };

		printf("# %8u %8.2f %8.2f %8.2f %8.2f\n", sizes[i], values[0], values[1], values[2],
		       values[3]);
		for (size_t j = 0; j < 4; j++) {
			snprintf(name, sizeof(name), "%s_%u", names[j], sizes[i]);
			figures_keep(name, values[j]);
		}
	}
}

void figures_map(const struct domain *domain)
{
	void *state;

	CHECK_EQUAL(mapcache_backend_xen.open(NULL, domain->id, &state), 0);
	for (unsigned int round = 0; round <= figures_rounds(); round++) {
		/* The first round warms up. */
		if (round == 1)
			memset(pieces, 0, sizeof(pieces));
		for (size_t i = 0; i < SIZES; i++)
			measure(state, sizes[i], &pieces[i]);
	}
	mapcache_backend_xen.close(state);
	report();
}
