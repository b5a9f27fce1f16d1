/* SPDX-License-Identifier: MIT */
/* The list of scenarios, the help text, and what scenarios share. */
#include "bench/scenario.h"

#include <string.h>

#include "bench/clock.h"
#include "bench/contestant.h"
#include "bench/policy.h"

static const struct scenario *const scenarios[] = {
	&scenario_hit,     &scenario_pin,   &scenario_miss,      &scenario_refresh,
	&scenario_answer,  &scenario_storm, &scenario_release,   &scenario_throughput,
	&scenario_reverse, &scenario_dma,   &scenario_footprint, &scenario_idle,
	&scenario_budget,  &scenario_scale, &scenario_policies,  &scenario_vstorm,
	&scenario_quick,   &scenario_full,
};
#define COUNT (sizeof(scenarios) / sizeof(scenarios[0]))

static const char usage[] =
	"usage: mapcache-bench [options] scenario\n"
	"\n"
	"Measures libmapcache beside other ways to reach guest memory. Contestants take turns in\n"
	"every round; figures are medians over rounds. Exit status: 0 whatever the figures are,\n"
	"1 when something could not be measured, 2 for a wrong command line.\n"
	"\n";

static const char option_help[] =
	"\noptions (each scenario has its own defaults, and refuses what means nothing to it)\n"
	"  --working-set N,...    buckets in use (answer, release, footprint: mapped; reverse: pins)\n"
	"  --threads N,...        threads (storm, policies: readers; vstorm: processors)\n"
	"  --rate HZ,...          INVALIDATE per second (storm, vstorm, policies)\n"
	"  --contestants A,...    who takes part\n"
	"  --policies A,...       which (policies)\n"
	"  --distribution D       uniform or zipf, over buckets\n"
	"  --skew S               exponent of zipf, default 0.99\n"
	"  --pattern P            pages used in a bucket: uniform, rings (4 neighbours, aligned),\n"
	"                         straddle (4, half a granule on), scattered (4), runs (64 KiB)\n"
	"  --write PERCENT        share of accesses that write (hit, storm, policies, scale)\n"
	"  --pinned PERCENT       share of buckets that stay pinned (hit, scale); of accesses that\n"
	"                         pin, each until 16 more of them (storm, policies)\n"
	"  --resident PERCENT     byte budget over working set (hit, pin, scale); less than 100\n"
	"                         makes misses\n"
	"  --bucket-shift N       log2 of the bucket, 12..30, default 20\n"
	"  --granule-shift N      log2 of what is refreshed at once\n"
	"  --reclaim-ms N         age at which what is stale is unmapped\n"
	"  --cost MODEL           none, pv or arm: a delay for every map and unmap in the simulator,\n"
	"                         in the proportions of such a machine\n"
	"  --cost-unit NS         what a one-page map takes in that model, default 1000\n"
	"  --no-populate          page tables are not filled when mapping\n"
	"  --no-batches           each bucket is mapped by calls of its own (vstorm)\n"
	"  --rounds N             1..101\n"
	"  --duration MS          of one contestant in one round\n"
	"  --seed N               of all random choices, default 1\n"
	"  --domid N              the domain to map (on a real Xen only)\n"
	"  --guest-base ADDRESS   where its RAM begins, default 0; 0x40000000 for an Arm guest\n"
	"  --json FILE            write figures and rows as JSON\n"
	"  --csv FILE             write rows as CSV\n"
	"  -h, --help             this text\n";

const struct scenario *scenario_find(const char *name)
{
	for (unsigned int i = 0; i < COUNT; i++)
		if (!strcmp(scenarios[i]->name, name))
			return scenarios[i];
	return NULL;
}

void scenario_help(FILE *file)
{
	fputs(usage, file);
	fputs("scenarios\n", file);
	for (unsigned int i = 0; i < COUNT; i++)
		fprintf(file, "  %-22s %s\n", scenarios[i]->name, scenarios[i]->text);
	fputs("\ncontestants\n", file);
	for (unsigned int i = 0; i < contestants_count; i++)
		fprintf(file, "  %-22s %s\n", contestants[i]->name, contestants[i]->text);
	fputs("\npolicies\n", file);
	for (unsigned int i = 0; i < policies_count; i++)
		fprintf(file, "  %-22s %s\n", policies[i].name, policies[i].text);
	fputs(option_help, file);
}

int scenario_error(const char *what, int error)
{
	report_progress(NULL);
	fprintf(stderr, "mapcache-bench: %s: %s\n", what, strerror(-error));
	return error;
}

unsigned int scenario_rounds(const struct bench *bench, unsigned int preferred)
{
	return bench->options.rounds ? bench->options.rounds : preferred;
}

uint64_t scenario_duration_ns(const struct bench *bench, unsigned int quick_ms,
			      unsigned int full_ms)
{
	uint64_t preferred = bench->quick ? quick_ms : full_ms;
	uint64_t chosen = bench->options.duration_ms ? bench->options.duration_ms : preferred;

	return chosen * CLOCK_MILLISECOND;
}

uint64_t scenario_bucket_bytes(const struct bench *bench)
{
	return UINT64_C(1) << bench->options.bucket_shift;
}

struct option_list scenario_sizes(const struct bench *bench, unsigned int count,
				  const uint64_t *preferred)
{
	struct option_list all = options_list(&bench->options.working_sets, count, preferred);
	struct option_list fitting = { 0 };

	for (unsigned int i = 0; i < all.count; i++)
		if (!bench->buckets_limit || all.value[i] <= bench->buckets_limit)
			fitting.value[fitting.count++] = all.value[i];
	return fitting;
}
