/* SPDX-License-Identifier: MIT */
/* The command line: every number is checked for nonsense before anything runs. */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/applies.h"
#include "bench/contestant.h"
#include "bench/guest.h"
#include "bench/policy.h"
#include "bench/scenario.h"

enum {
	OPTION_HELP = 'h',
	OPTION_WORKING_SET = 256,
	OPTION_THREADS,
	OPTION_RATE,
	OPTION_DISTRIBUTION,
	OPTION_SKEW,
	OPTION_PATTERN,
	OPTION_COST,
	OPTION_COST_UNIT,
	OPTION_BUCKET_SHIFT,
	OPTION_GRANULE_SHIFT,
	OPTION_RECLAIM_MS,
	OPTION_PINNED,
	OPTION_RESIDENT,
	OPTION_WRITE,
	OPTION_NO_POPULATE,
	OPTION_NO_BATCHES,
	OPTION_SEED,
	OPTION_ROUNDS,
	OPTION_DURATION,
	OPTION_CONTESTANTS,
	OPTION_POLICIES,
	OPTION_DOMID,
	OPTION_GUEST_BASE,
	OPTION_JSON,
	OPTION_CSV,
};

/* Which options these belong to; 0: every scenario takes it. */
static const unsigned int applies[] = {
	[OPTION_WORKING_SET - OPTION_WORKING_SET] = APPLIES_WORKING_SET,
	[OPTION_THREADS - OPTION_WORKING_SET] = APPLIES_THREADS,
	[OPTION_RATE - OPTION_WORKING_SET] = APPLIES_RATE,
	[OPTION_DISTRIBUTION - OPTION_WORKING_SET] = APPLIES_DISTRIBUTION,
	[OPTION_SKEW - OPTION_WORKING_SET] = APPLIES_DISTRIBUTION,
	[OPTION_PATTERN - OPTION_WORKING_SET] = APPLIES_PATTERN,
	[OPTION_COST - OPTION_WORKING_SET] = APPLIES_COST,
	[OPTION_COST_UNIT - OPTION_WORKING_SET] = APPLIES_COST,
	[OPTION_BUCKET_SHIFT - OPTION_WORKING_SET] = APPLIES_SHIFTS,
	[OPTION_GRANULE_SHIFT - OPTION_WORKING_SET] = APPLIES_SHIFTS,
	[OPTION_RECLAIM_MS - OPTION_WORKING_SET] = APPLIES_RECLAIM_MS,
	[OPTION_PINNED - OPTION_WORKING_SET] = APPLIES_PINNED,
	[OPTION_RESIDENT - OPTION_WORKING_SET] = APPLIES_RESIDENT,
	[OPTION_WRITE - OPTION_WORKING_SET] = APPLIES_WRITE,
	[OPTION_NO_POPULATE - OPTION_WORKING_SET] = APPLIES_COST,
	[OPTION_NO_BATCHES - OPTION_WORKING_SET] = APPLIES_NO_BATCHES,
	[OPTION_SEED - OPTION_WORKING_SET] = APPLIES_SEED,
	[OPTION_ROUNDS - OPTION_WORKING_SET] = APPLIES_ROUNDS,
	[OPTION_DURATION - OPTION_WORKING_SET] = APPLIES_DURATION,
	[OPTION_CONTESTANTS - OPTION_WORKING_SET] = APPLIES_CONTESTANTS,
	[OPTION_POLICIES - OPTION_WORKING_SET] = APPLIES_POLICIES,
	[OPTION_DOMID - OPTION_WORKING_SET] = APPLIES_DOMID,
	[OPTION_GUEST_BASE - OPTION_WORKING_SET] = APPLIES_GUEST_BASE,
	[OPTION_CSV - OPTION_WORKING_SET] = 0,
};

static const struct option long_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "working-set", required_argument, NULL, OPTION_WORKING_SET },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "rate", required_argument, NULL, OPTION_RATE },
	{ "distribution", required_argument, NULL, OPTION_DISTRIBUTION },
	{ "skew", required_argument, NULL, OPTION_SKEW },
	{ "pattern", required_argument, NULL, OPTION_PATTERN },
	{ "cost", required_argument, NULL, OPTION_COST },
	{ "cost-unit", required_argument, NULL, OPTION_COST_UNIT },
	{ "bucket-shift", required_argument, NULL, OPTION_BUCKET_SHIFT },
	{ "granule-shift", required_argument, NULL, OPTION_GRANULE_SHIFT },
	{ "reclaim-ms", required_argument, NULL, OPTION_RECLAIM_MS },
	{ "pinned", required_argument, NULL, OPTION_PINNED },
	{ "resident", required_argument, NULL, OPTION_RESIDENT },
	{ "write", required_argument, NULL, OPTION_WRITE },
	{ "no-populate", no_argument, NULL, OPTION_NO_POPULATE },
	{ "no-batches", no_argument, NULL, OPTION_NO_BATCHES },
	{ "seed", required_argument, NULL, OPTION_SEED },
	{ "rounds", required_argument, NULL, OPTION_ROUNDS },
	{ "duration", required_argument, NULL, OPTION_DURATION },
	{ "contestants", required_argument, NULL, OPTION_CONTESTANTS },
	{ "policies", required_argument, NULL, OPTION_POLICIES },
	{ "domid", required_argument, NULL, OPTION_DOMID },
	{ "guest-base", required_argument, NULL, OPTION_GUEST_BASE },
	{ "json", required_argument, NULL, OPTION_JSON },
	{ "csv", required_argument, NULL, OPTION_CSV },
	{ NULL, 0, NULL, 0 },
};

static const char *const pattern_names[PATTERN_COUNT] = {
	[PATTERN_UNIFORM] = "uniform",   [PATTERN_RINGS] = "rings",
	[PATTERN_STRADDLE] = "straddle", [PATTERN_SCATTERED] = "scattered",
	[PATTERN_RUNS] = "runs",
};
static const char *const distribution_names[] = { "uniform", "zipf" };
static const char *const cost_names[] = { "none", "pv", "arm" };

const char *options_pattern_name(enum pattern pattern)
{
	return pattern_names[pattern];
}

static bool refuse(const char *name, const char *text, const char *expected)
{
	fprintf(stderr, "mapcache-bench: --%s %s: %s\n", name, text, expected);
	return false;
}

static bool parse_number(const char *name, const char *text, uint64_t low, uint64_t high,
			 uint64_t *value)
{
	char expected[96], *end;

	snprintf(expected, sizeof(expected), "expected a whole number from %llu to %llu",
		 (unsigned long long)low, (unsigned long long)high);
	errno = 0;
	*value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno || *value < low || *value > high)
		return refuse(name, text, expected);
	return true;
}

static bool parse_u32(const char *name, const char *text, uint32_t low, uint32_t high,
		      uint32_t *value)
{
	uint64_t wide;

	if (!parse_number(name, text, low, high, &wide))
		return false;
	*value = (uint32_t)wide;
	return true;
}

static bool parse_real(const char *name, const char *text, double low, double high, double *value)
{
	char expected[64], *end;

	snprintf(expected, sizeof(expected), "expected a number from %g to %g", low, high);
	*value = strtod(text, &end);
	if (end == text || *end || !(*value >= low && *value <= high))
		return refuse(name, text, expected);
	return true;
}

static bool parse_list(const char *name, const char *text, uint64_t low, uint64_t high,
		       struct option_list *list)
{
	char copy[256], *rest = copy, *item;

	if (strlen(text) >= sizeof(copy))
		return refuse(name, text, "too long");
	strcpy(copy, text);
	list->count = 0;
	while ((item = strsep(&rest, ","))) {
		if (list->count == OPTIONS_LIST)
			return refuse(name, text, "at most 16 values");
		if (!parse_number(name, item, low, high, &list->value[list->count++]))
			return false;
	}
	return true;
}

static bool parse_word(const char *name, const char *text, const char *const *words,
		       unsigned int count, unsigned int *choice)
{
	char expected[96] = "expected one of:";

	for (unsigned int i = 0; i < count; i++) {
		if (!strcmp(text, words[i])) {
			*choice = i;
			return true;
		}
		strncat(expected, " ", sizeof(expected) - strlen(expected) - 1);
		strncat(expected, words[i], sizeof(expected) - strlen(expected) - 1);
	}
	return refuse(name, text, expected);
}

static bool parse_choice(struct options *options, int code, const char *name, const char *text)
{
	unsigned int choice = 0;
	bool known;

	switch (code) {
	case OPTION_DISTRIBUTION:
		known = parse_word(name, text, distribution_names, 2, &choice);
		options->distribution = (enum distribution)choice;
		return known;
	case OPTION_PATTERN:
		known = parse_word(name, text, pattern_names, PATTERN_COUNT, &choice);
		options->pattern = (enum pattern)choice;
		options->pattern_given = true;
		return known;
	default:
		known = parse_word(name, text, cost_names, 3, &choice);
		options->cost = (enum cost_model)choice;
		return known;
	}
}

static bool parse_option(struct options *options, int code, const char *name, const char *text)
{
	switch (code) {
	case OPTION_WORKING_SET:
		return parse_list(name, text, 1, 1u << 20, &options->working_sets);
	case OPTION_THREADS:
		return parse_list(name, text, 1, 256, &options->threads);
	case OPTION_RATE:
		return parse_list(name, text, 1, 1000000, &options->rates);
	case OPTION_SKEW:
		return parse_real(name, text, 0.01, 10, &options->skew);
	case OPTION_COST_UNIT:
		return parse_number(name, text, 1, 1000000000, &options->cost_unit_ns);
	case OPTION_BUCKET_SHIFT:
		return parse_u32(name, text, 12, 30, &options->bucket_shift);
	case OPTION_GRANULE_SHIFT:
		return parse_u32(name, text, 12, 30, &options->granule_shift);
	case OPTION_RECLAIM_MS:
		return parse_u32(name, text, 1, 3600000, &options->reclaim_ms);
	case OPTION_PINNED:
		return parse_u32(name, text, 0, 100, &options->pinned_percent);
	case OPTION_RESIDENT:
		return parse_u32(name, text, 1, 1000, &options->resident_percent);
	case OPTION_WRITE:
		return parse_u32(name, text, 0, 100, &options->write_percent);
	case OPTION_SEED:
		return parse_number(name, text, 0, UINT64_MAX, &options->seed);
	case OPTION_ROUNDS:
		return parse_u32(name, text, 1, 101, &options->rounds);
	case OPTION_DURATION:
		return parse_u32(name, text, 1, 3600000, &options->duration_ms);
	case OPTION_DOMID:
		return parse_u32(name, text, 0, 32751, &options->domid);
	case OPTION_GUEST_BASE:
		return parse_number(name, text, 0, UINT64_C(1) << 46, &options->guest_base);
	default:
		return parse_choice(options, code, name, text);
	}
}

static bool known_contestant(const char *name)
{
	return contestant_find(name) != NULL;
}

static bool parse_names(const char *option, const char *text, bool (*known)(const char *name),
			const char **names)
{
	char copy[512], *rest = copy, *name;

	if (strlen(text) >= sizeof(copy))
		return refuse(option, text, "too long");
	strcpy(copy, text);
	while ((name = strsep(&rest, ",")))
		if (!known(name))
			return refuse(option, name, "there is none of that name; see --help");
	*names = text;
	return true;
}

static bool take_option(struct options *options, int code, const char *name)
{
	switch (code) {
	case OPTION_NO_POPULATE:
		options->no_populate = true;
		return true;
	case OPTION_NO_BATCHES:
		options->no_batches = true;
		return true;
	case OPTION_CONTESTANTS:
		return parse_names(name, optarg, known_contestant, &options->contestants);
	case OPTION_POLICIES:
		return parse_names(name, optarg, policy_known, &options->policies);
	case OPTION_JSON:
		options->json = optarg;
		return true;
	case OPTION_CSV:
		options->csv = optarg;
		return true;
	default:
		return parse_option(options, code, name, optarg);
	}
}

/* Not to pass over what somebody has asked for. */
static bool check_applies(const struct options *options)
{
	bool real_xen = !strcmp(guest_platform, "xen");
	unsigned int strange = options->given & ~applies_to(options->scenario, real_xen);

	if (!scenario_find(options->scenario)) {
		fprintf(stderr, "mapcache-bench: %s: no such scenario; see --help\n",
			options->scenario);
		return false;
	}
	for (unsigned int i = 0; long_options[i].name; i++) {
		int code = long_options[i].val;

		if (code < OPTION_WORKING_SET || !(strange & applies[code - OPTION_WORKING_SET]))
			continue;
		fprintf(stderr, "mapcache-bench: --%s means nothing to %s%s\n",
			long_options[i].name, options->scenario,
			strange & (APPLIES_COST | APPLIES_DOMID) ? " here" : "");
		return false;
	}
	return true;
}

static bool check_together(const struct options *options)
{
	if (options->guest_base & 0xfff) {
		fprintf(stderr, "mapcache-bench: --guest-base must be a multiple of 4096\n");
		return false;
	}
	if (options->skew && options->distribution != DISTRIBUTION_ZIPF) {
		fprintf(stderr, "mapcache-bench: --skew means nothing without "
				"--distribution zipf\n");
		return false;
	}
	if (options->cost_unit_ns && options->cost == COST_NONE) {
		fprintf(stderr, "mapcache-bench: --cost-unit means nothing without --cost\n");
		return false;
	}
	if (options->granule_shift && (options->granule_shift > options->bucket_shift ||
				       options->granule_shift + 6 < options->bucket_shift)) {
		fprintf(stderr,
			"mapcache-bench: --granule-shift must lie between --bucket-shift "
			"- 6 and --bucket-shift (%u)\n",
			options->bucket_shift);
		return false;
	}
	return true;
}

bool options_parse(struct options *options, int argc, char **argv, int *status)
{
	int code, index = 0;

	*options = (struct options){
		.bucket_shift = 20, .resident_percent = 1000, .seed = 1, .pattern = PATTERN_UNIFORM
	};
	*status = 2;
	while ((code = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
		if (code == OPTION_HELP) {
			scenario_help(stdout);
			*status = 0;
			return false;
		}
		if (code == '?' || !take_option(options, code, long_options[index].name))
			return false;
		options->given |= applies[code - OPTION_WORKING_SET];
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "mapcache-bench: expected one scenario; see --help\n");
		return false;
	}
	options->scenario = argv[optind];
	if (!check_applies(options) || !check_together(options))
		return false;
	if (!options->skew)
		options->skew = 0.99;
	if (!options->cost_unit_ns)
		options->cost_unit_ns = 1000;
	return true;
}

struct option_list options_list(const struct option_list *given, unsigned int count,
				const uint64_t *preferred)
{
	struct option_list list = { .count = count };

	if (given->count)
		return *given;
	memcpy(list.value, preferred, count * sizeof(*preferred));
	return list;
}

uint64_t options_list_maximum(const struct option_list *list)
{
	uint64_t maximum = 0;

	for (unsigned int i = 0; i < list->count; i++)
		maximum = list->value[i] > maximum ? list->value[i] : maximum;
	return maximum;
}
