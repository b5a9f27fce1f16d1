/* SPDX-License-Identifier: MIT */
/* Address sequences: which bucket, which of its pages, where in the page. */
#include "bench/workload.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/random.h"

#define PAGE_SHIFT 12
#define FEW_PAGES 4
#define RUN_PAGES 16

/* Cumulated probabilities of buckets by rank; NULL for a uniform distribution. */
static double *zipf_table(const struct workload_shape *shape)
{
	double *cumulated = malloc(shape->buckets * sizeof(*cumulated)), sum = 0;

	if (!cumulated)
		return NULL;
	for (uint64_t rank = 0; rank < shape->buckets; rank++)
		cumulated[rank] = sum += 1 / pow((double)(rank + 1), shape->skew);
	for (uint64_t rank = 0; rank < shape->buckets; rank++)
		cumulated[rank] /= sum;
	return cumulated;
}

static uint64_t zipf_draw(const double *cumulated, uint64_t buckets, uint64_t *random)
{
	double wanted = random_unit(random);
	uint64_t low = 0, high = buckets - 1;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (cumulated[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A page of the bucket, the same few for one bucket every time. */
static uint64_t draw_page(const struct workload_shape *shape, uint64_t bucket, uint64_t *random)
{
	uint64_t pages = UINT64_C(1) << (shape->bucket_shift - PAGE_SHIFT);
	uint64_t own = shape->seed ^ (bucket * UINT64_C(0xd1342543de82ef95));
	uint64_t first, which;

	switch (shape->pattern) {
	case PATTERN_RINGS:
		first = random_below(&own, pages) & ~(uint64_t)(FEW_PAGES - 1);
		return (first + random_below(random, FEW_PAGES)) % pages;
	case PATTERN_STRADDLE:
		first = (random_below(&own, pages) & ~(uint64_t)(FEW_PAGES - 1)) + FEW_PAGES / 2;
		return (first + random_below(random, FEW_PAGES)) % pages;
	case PATTERN_SCATTERED:
		which = random_below(random, FEW_PAGES);
		for (first = random_next(&own); which; which--)
			first = random_next(&own);
		return first % pages;
	case PATTERN_RUNS:
		first = random_below(&own, pages) & ~(uint64_t)(RUN_PAGES - 1);
		return (first + random_below(random, RUN_PAGES)) % pages;
	default:
		return random_below(random, pages);
	}
}

int workload_open(struct workload *workload, const struct workload_shape *shape)
{
	uint64_t random = shape->seed + shape->stream * UINT64_C(0x632be59bd9b4e019), bucket, page,
		 offset;
	double *zipf = NULL;

	workload->gpa = malloc(shape->addresses * sizeof(*workload->gpa));
	workload->mask = shape->addresses - 1;
	if (shape->distribution == DISTRIBUTION_ZIPF)
		zipf = zipf_table(shape);
	if (!workload->gpa || (shape->distribution == DISTRIBUTION_ZIPF && !zipf)) {
		free(workload->gpa);
		free(zipf);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < shape->addresses; i++) {
		bucket = zipf ? zipf_draw(zipf, shape->buckets, &random)
			      : random_below(&random, shape->buckets);
		page = draw_page(shape, bucket, &random);
		offset = random_below(&random, 1u << (PAGE_SHIFT - 2)) << 2;
		workload->gpa[i] = (bucket << shape->bucket_shift) + (page << PAGE_SHIFT) + offset;
		if (random_below(&random, 100) < shape->write_percent)
			workload->gpa[i] |= WORKLOAD_WRITE;
		if (shape->pin_percent && random_below(&random, 100) < shape->pin_percent)
			workload->gpa[i] |= WORKLOAD_PIN;
	}
	free(zipf);
	return 0;
}

void workload_close(struct workload *workload)
{
	free(workload->gpa);
	workload->gpa = NULL;
}
