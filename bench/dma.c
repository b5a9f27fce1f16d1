/* SPDX-License-Identifier: MIT */
/* dma: contiguous pins of buffers used in turn, inside buckets and across their ends, ns. */
#include <errno.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "bench/lineup.h"
#include "bench/statistics.h"

#define DMA_BYTES (UINT64_C(32) << 10)

/* Buffers, the same number of bytes in each of so many buckets. */
struct dma {
	struct mapcache_client *client;
	uint64_t buckets, bucket, offset;
	unsigned int flags;
};

static struct option_list buffer_counts(const struct bench *bench)
{
	static const uint64_t counts[] = { 10, 100, 1000 };

	return scenario_sizes(bench, 3, counts);
}

/* The last buffer ends in one more. */
static uint64_t dma_buckets(const struct bench *bench)
{
	struct option_list list = buffer_counts(bench);

	return options_list_maximum(&list) + 1;
}

static uint64_t dma_bytes(const struct dma *dma)
{
	return dma->bucket < 2 * DMA_BYTES ? dma->bucket : DMA_BYTES;
}

/* ns of one pin and unpin, or a negative value when one failed. */
static double time_pins(const struct dma *dma, uint64_t count)
{
	uint64_t begin = clock_now(), turn = 0;
	int failed = 0;

	for (uint64_t i = 0; i < count; i++) {
		size_t len = (size_t)dma_bytes(dma);
		void *pointer = mapcache_pin(dma->client, turn * dma->bucket + dma->offset, &len,
					     PROT_READ | PROT_WRITE, dma->flags);

		failed |= !pointer || mapcache_client_unpin(dma->client, pointer, 0);
		turn = turn + 1 == dma->buckets ? 0 : turn + 1;
	}
	return failed ? -1 : (double)(clock_now() - begin) / (double)count;
}

static void report(struct bench *bench, const struct dma *dma, const char *metric,
		   const struct series *series)
{
	report_add(&bench->report, &(struct report_row){ .scenario = "dma",
							 .contestant = "ours",
							 .variant = "in turn",
							 .buckets = dma->buckets,
							 .threads = 1,
							 .metric = metric,
							 .unit = "ns",
							 .value = series_median(series) });
}

/* Round by round: plain pins and contiguous ones inside buckets, and those across their ends. */
enum way { PLAIN, INSIDE, ACROSS, WAYS };

static int measure(struct bench *bench, struct dma *dma, struct series series[WAYS])
{
	static const char *const metrics[WAYS] = { "pin_unpin", "pin_unpin_contiguous",
						   "pin_unpin_across_buckets" };
	/* Less than a time slice, many times. */
	uint64_t count = scenario_duration_ns(bench, 1, 2) / 50;

	for (unsigned int round = 0; round <= scenario_rounds(bench, 75); round++) {
		for (enum way way = PLAIN; way < WAYS; way++) {
			double ns;

			dma->flags = way == PLAIN ? 0 : MAPCACHE_PIN_CONTIGUOUS;
			dma->offset = way == ACROSS ? dma->bucket - dma_bytes(dma) / 2 : 0;
			ns = time_pins(dma, round ? count : dma->buckets);
			if (ns < 0)
				return scenario_error("a pin failed", -EIO);
			/* The first round maps. */
			if (round)
				series_add(&series[way], ns);
		}
	}
	for (enum way way = PLAIN; way < WAYS; way++)
		report(bench, dma, metrics[way], &series[way]);
	return 0;
}

/* Across the ends of buckets, a cache that knows 10 buffers and one that knows 1000 in turns. */
static int compare(struct bench *bench, struct dma *few, struct dma *many)
{
	struct series of_few = { 0 }, of_many = { 0 };
	uint64_t count = scenario_duration_ns(bench, 1, 2) / 50;

	(void)time_pins(few, few->buckets);
	for (unsigned int round = 0; round < scenario_rounds(bench, 75); round++) {
		series_add(&of_few, time_pins(few, count));
		series_add(&of_many, time_pins(many, count));
	}
	if (series_minimum(&of_few) < 0 || series_minimum(&of_many) < 0)
		return scenario_error("a pin failed", -EIO);
	goals_set(&bench->goals, GOAL_dma_ns_1000, series_median_ratio(&of_many, &of_few));
	return 0;
}

/* many has pinned all of its buffers last, across the ends. */
static int compare_with_few(struct bench *bench, struct dma *many)
{
	struct contestant_config config = lineup_config(bench, 9 * 10);
	struct lineup lineup = { 0 };
	struct dma few = *many;
	int error = lineup_open(&lineup, bench, "ours", &config);

	if (error)
		return error;
	few.buckets = 10;
	error = mapcache_client_open(
		lineup.entries[0].contestant->cache(lineup.entries[0].instance), &few.client);
	if (!error) {
		error = compare(bench, &few, many);
		mapcache_client_close(few.client);
	}
	lineup_close(&lineup);
	return error;
}

static int run_counts(struct bench *bench, struct mapcache *cache, const struct option_list *counts)
{
	struct dma dma = { .bucket = scenario_bucket_bytes(bench) };
	int error = mapcache_client_open(cache, &dma.client);

	if (error)
		return scenario_error("client", error);
	for (unsigned int i = 0; i < counts->count && !error; i++) {
		struct series series[WAYS] = { 0 };

		dma.buckets = counts->value[i];
		error = measure(bench, &dma, series);
		if (dma.buckets == 10)
			goals_set(&bench->goals, GOAL_pin_contiguous_vs_pin,
				  series_median_ratio(&series[INSIDE], &series[PLAIN]));
	}
	if (!error && options_list_maximum(counts) == 1000)
		error = compare_with_few(bench, &dma);
	mapcache_client_close(dma.client);
	return error;
}

/* Map calls of the first vectored pin after each INVALIDATE, the worst of some. */
#define SGL_RANGES 32

static int run_list(struct bench *bench, struct mapcache *cache)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t bucket = scenario_bucket_bytes(bench), before, worst = 0;
	struct mapcache_range ranges[SGL_RANGES];
	struct iovec iov[SGL_RANGES];
	struct mapcache_client *client;
	int error = mapcache_client_open(cache, &client), count = 0;

	if (error)
		return scenario_error("client", error);
	for (uint64_t i = 0; i < SGL_RANGES; i++)
		ranges[i] = (struct mapcache_range){ i * 7 % SGL_RANGES * bucket, 4096 };
	for (unsigned int round = 0; round < 10 && count >= 0; round++) {
		mapcache_invalidate(cache);
		mapcache_stats(cache, &stats);
		before = stats.map_calls;
		count = mapcache_pin_sgl(client, ranges, SGL_RANGES, PROT_READ, iov, SGL_RANGES);
		mapcache_stats(cache, &stats);
		worst = stats.map_calls - before > worst ? stats.map_calls - before : worst;
		for (int i = 0; i < count; i++)
			mapcache_client_unpin(client, iov[i].iov_base, 0);
	}
	mapcache_client_close(client);
	if (count < 0)
		return scenario_error("a vectored pin failed", count);
	report_add(&bench->report, &(struct report_row){ .scenario = "dma",
							 .contestant = "ours",
							 .variant = "scattered",
							 .buckets = SGL_RANGES,
							 .threads = 1,
							 .metric = "map_calls",
							 .unit = "calls",
							 .value = (double)worst });
	goals_set(&bench->goals, GOAL_sgl_map_calls, (double)worst);
	return 0;
}

static int dma_run(struct bench *bench)
{
	struct option_list counts = buffer_counts(bench);
	/* Each buffer across an end takes two buckets more, and those a quarter of all. */
	struct contestant_config config = lineup_config(bench, 9 * options_list_maximum(&counts));
	struct lineup lineup = { 0 };
	struct lineup_entry *ours;
	int error = lineup_open(&lineup, bench, "ours", &config);

	if (error)
		return error;
	ours = lineup_find(&lineup, "ours");
	if (ours)
		error = run_counts(bench, ours->contestant->cache(ours->instance), &counts);
	if (ours && !error && options_list_maximum(&counts) >= SGL_RANGES)
		error = run_list(bench, ours->contestant->cache(ours->instance));
	if (!ours)
		error = scenario_error("only ours can do this", -ENOTSUP);
	lineup_close(&lineup);
	return error;
}

const struct scenario scenario_dma = {
	.name = "dma",
	.text = "contiguous pins of buffers in turn, ns",
	.buckets = dma_buckets,
	.run = dma_run,
};
