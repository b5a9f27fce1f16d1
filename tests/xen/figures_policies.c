/* SPDX-License-Identifier: MIT */
/*
 * Policies of refreshing (bench/policy.h) on a real Xen: the time that a fixed number of accesses
 * takes after an INVALIDATE, less what they take undisturbed, and the same with the reclaim that
 * follows, which has the one processor of this dom0 to share. In units of a map of one page. How many
 * accesses there are between two INVALIDATEs stands for their rate.
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/policy.h"
#include "bench/statistics.h"
#include "bench/workload.h"
#include "tests/xen/test.h"

#define BUCKETS 64u
#define WARM_UP 40 /* INVALIDATEs until the cache knows how its buckets are used */
#define CYCLES 6
#define RECLAIM_MS 60000 /* the test reclaims, after each cycle */

static const char *const names[] = { "default", "no-batches" };
#define NAMES (sizeof(names) / sizeof(names[0]))

static const struct storm {
	const char *name;
	enum pattern pattern;
	unsigned int accesses; /* between two INVALIDATEs */
} storms[] = { { "rings", PATTERN_RINGS, 512 },
	       { "scattered", PATTERN_SCATTERED, 512 },
	       { "runs", PATTERN_RUNS, 512 },
	       { "uniform_64", PATTERN_UNIFORM, 64 },
	       { "uniform_2048", PATTERN_UNIFORM, 2048 } };
#define STORMS (sizeof(storms) / sizeof(storms[0]))

struct cost {
	struct series reader, all;
};

static struct cost costs[STORMS][NAMES];
static struct series one_page; /* ns of a map of one page */

static const struct policy *find(const char *name)
{
	for (unsigned int i = 0; i < policies_count; i++)
		if (policy_wanted(&policies[i], name))
			return &policies[i];
	test_fail(__FILE__, __LINE__, "there is no policy %s", name);
}

/* Returns the ns it took. */
static double read_some(struct mapcache_client *client, const struct workload *workload,
			unsigned int accesses, uint64_t *at)
{
	uint64_t start = clock_now();
	volatile uint32_t *word;

	while (accesses--) {
		mapcache_begin(client);
		word = mapcache_ptr(client, FIGURES_BASE + workload->gpa[(*at)++ & workload->mask],
				    4, PROT_READ);
		CHECK(word);
		(void)*word;
		mapcache_end(client);
	}
	return (double)(clock_now() - start);
}

static void measure(const struct domain *domain, const struct storm *storm,
		    const struct policy *policy, struct cost *cost)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = domain->id,
					    .flags = MAPCACHE_NO_RECLAIM_THREAD |
						     (policy->no_batches ? MAPCACHE_NO_BATCHES : 0),
					    .reclaim_ms = RECLAIM_MS,
					    .granule_shift = policy->granule_shift };
	struct workload workload;
	uint64_t at = 0;
	struct workload_shape shape = { .buckets = BUCKETS,
					.bucket_shift = 20,
					.addresses = 1 << 14,
					.seed = 1,
					.pattern = storm->pattern };
	double undisturbed, reader = 0, all = 0;
	struct mapcache_client *client;
	struct mapcache *cache;

	CHECK_EQUAL(workload_open(&workload, &shape), 0);
	CHECK_EQUAL(mapcache_open(&options, &cache), 0);
	CHECK_EQUAL(mapcache_client_open(cache, &client), 0);
	for (unsigned int i = 0; i < 4; i++)
		read_some(client, &workload, storm->accesses, &at);
	undisturbed = read_some(client, &workload, storm->accesses, &at);
	for (int cycle = -WARM_UP; cycle < CYCLES; cycle++) {
		uint64_t start = clock_now();
		double time;

		mapcache_invalidate(cache);
		time = read_some(client, &workload, storm->accesses, &at);
		while (mapcache_reclaim(cache, UINT64_MAX))
			;
		if (cycle < 0)
			continue;
		reader += time;
		all += (double)(clock_now() - start);
	}
	series_add(&cost->reader, reader / CYCLES - undisturbed);
	series_add(&cost->all, all / CYCLES - undisturbed);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	CHECK_EQUAL(mapcache_close(cache), 0);
	workload_close(&workload);
}

static void report(void)
{
	printf("# an INVALIDATE's cost by policy, in maps of one page: reader, and with reclaim\n");
	printf("# %14s", "");
	for (size_t s = 0; s < STORMS; s++)
		printf(" %14s", storms[s].name);
	printf("\n");
	for (size_t p = 0; p < NAMES; p++) {
		printf("# %14s", names[p]);
		for (size_t s = 0; s < STORMS; s++) {
			double reader = series_median_ratio(&costs[s][p].reader, &one_page);
			double all = series_median_ratio(&costs[s][p].all, &one_page);
			char name[64];

			printf("  %6.1f %6.1f", reader, all);
			snprintf(name, sizeof(name), "policy_%s_%s", names[p], storms[s].name);
			figures_keep(name, reader);
			snprintf(name, sizeof(name), "policy_%s_%s_all", names[p], storms[s].name);
			figures_keep(name, all);
		}
		printf("\n");
	}
}

void figures_policies(const struct domain *domain)
{
	/* A round takes long: a third of them will do. */
	for (unsigned int round = 0; round < (figures_rounds() + 2) / 3; round++) {
		series_add(&one_page, figures_one_page(domain));
		for (size_t s = 0; s < STORMS; s++)
			for (size_t p = 0; p < NAMES; p++)
				measure(domain, &storms[s], find(names[p]), &costs[s][p]);
	}
	report();
}
