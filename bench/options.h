/* SPDX-License-Identifier: MIT */
/* The command line of mapcache-bench, checked. Zero means "what the scenario prefers". */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_LIST 16

struct option_list {
	unsigned int count;
	uint64_t value[OPTIONS_LIST];
};

enum distribution { DISTRIBUTION_UNIFORM, DISTRIBUTION_ZIPF };

/* Which pages of a bucket are used. */
enum pattern {
	PATTERN_UNIFORM,   /* all of them */
	PATTERN_RINGS,     /* 4 neighbours, aligned to their size, as an allocator gives them */
	PATTERN_STRADDLE,  /* 4 neighbours that begin in the middle of 16 KiB */
	PATTERN_SCATTERED, /* 4 anywhere */
	PATTERN_RUNS,      /* 64 KiB, aligned */
	PATTERN_COUNT,
};

enum cost_model { COST_NONE, COST_PV, COST_ARM };

struct options {
	const char *scenario;
	struct option_list working_sets; /* buckets */
	struct option_list threads;
	struct option_list rates; /* invalidations per second */
	enum distribution distribution;
	double skew;
	enum pattern pattern;
	bool pattern_given;
	enum cost_model cost;
	uint64_t cost_unit_ns;
	uint32_t bucket_shift;
	uint32_t granule_shift;
	uint32_t reclaim_ms;
	uint32_t pinned_percent;   /* of the working set's buckets, pinned all the time */
	uint32_t resident_percent; /* byte budget over working set */
	uint32_t write_percent;
	bool no_populate;
	bool no_batches;
	uint64_t seed;
	uint32_t rounds;
	uint32_t duration_ms;    /* of one contestant in one round */
	const char *contestants; /* comma-separated names */
	const char *policies;    /* comma-separated names */
	uint32_t domid;          /* real Xen only */
	uint64_t guest_base;     /* where the guest's RAM begins */
	unsigned int given;      /* enum applies */
	const char *json;
	const char *csv;
};

/* Fills options, or writes a message and returns the exit status in *status. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

const char *options_pattern_name(enum pattern pattern);

/* The list, or the scenario's own when none was given. */
struct option_list options_list(const struct option_list *given, unsigned int count,
				const uint64_t *preferred);
uint64_t options_list_maximum(const struct option_list *list);

#endif
