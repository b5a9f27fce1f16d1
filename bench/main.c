/* SPDX-License-Identifier: MIT */
/* mapcache-bench: see that the machine can do it, run one scenario, write the results. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mapcache/mapcache.h>

#include "bench/scenario.h"

/* Besides the guest: page tables of several mappings of it, caches, the system. */
#define SPARE_BYTES (UINT64_C(512) << 20)
/* Kernel mappings that are not buckets. */
#define SPARE_MAPPINGS 1000
/* Several contestants have the whole working set mapped at once. */
#define MAPPERS 3

static int check_machine(const struct bench *bench, const struct scenario *scenario,
			 uint64_t buckets)
{
	uint64_t bytes = buckets * scenario_bucket_bytes(bench), needed = bytes + bytes / 32;
	const struct machine *machine = &bench->machine;

	needed += SPARE_BYTES;
	if (machine->memory_available && needed > machine->memory_available) {
		fprintf(stderr, "mapcache-bench: %s needs %llu MiB of memory, %llu MiB are "
			"available; choose a smaller --working-set\n", scenario->name,
			(unsigned long long)(needed >> 20),
			(unsigned long long)(machine->memory_available >> 20));
		return -ENOMEM;
	}
	if (machine->mappings_limit && buckets * MAPPERS + SPARE_MAPPINGS > machine->mappings_limit) {
		fprintf(stderr, "mapcache-bench: %s needs %llu kernel mappings, vm.max_map_count "
			"allows %llu; choose a smaller --working-set\n", scenario->name,
			(unsigned long long)(buckets * MAPPERS + SPARE_MAPPINGS),
			(unsigned long long)machine->mappings_limit);
		return -ENOMEM;
	}
	return 0;
}

static void describe(const struct bench *bench, uint64_t buckets)
{
	const struct machine *machine = &bench->machine;

	printf("libmapcache %s on %s, %s, %u CPUs, %s\n", mapcache_version(), guest_platform,
	       machine->processor, machine->cpus, machine->kernel);
	printf("guest memory %llu MiB, bucket %llu KiB, seed %llu, one clock reading %.1f ns "
	       "(not subtracted)\n",
	       (unsigned long long)(buckets * scenario_bucket_bytes(bench) >> 20),
	       (unsigned long long)(scenario_bucket_bytes(bench) >> 10),
	       (unsigned long long)bench->options.seed, machine->timer_ns);
	fflush(stdout);
}

static int write_json(const struct bench *bench, const char *path)
{
	const struct machine *machine = &bench->machine;
	FILE *file = fopen(path, "w");

	if (!file)
		return -errno;
	fprintf(file, "{\n");
	goals_print_json(&bench->goals, file);
	fprintf(file, "  \"environment\": {\"version\": \"%s\", \"platform\": \"%s\", "
		"\"processor\": \"%s\", \"cpus\": %u, \"kernel\": \"%s\", \"timer_ns\": %.2f, "
		"\"seed\": %llu, \"bucket_shift\": %u},\n", mapcache_version(), guest_platform,
		machine->processor, machine->cpus, machine->kernel, machine->timer_ns,
		(unsigned long long)bench->options.seed, bench->options.bucket_shift);
	fprintf(file, "  \"results\": ");
	report_print_json(&bench->report, file);
	fprintf(file, "\n}\n");
	return fclose(file) ? -errno : 0;
}

static int write_files(const struct bench *bench)
{
	const struct options *options = &bench->options;
	int error = 0;

	if (options->json) {
		error = write_json(bench, options->json);
		if (error)
			scenario_error(options->json, error);
	}
	if (options->csv) {
		int other = report_write_csv(&bench->report, options->csv);

		if (other)
			error = scenario_error(options->csv, other);
	}
	return error;
}

static int run(struct bench *bench, const struct scenario *scenario)
{
	uint64_t buckets = scenario->buckets(bench);
	int error = check_machine(bench, scenario, buckets), other;

	if (error)
		return error;
	describe(bench, buckets);
	report_progress("making a guest of %llu MiB",
			(unsigned long long)(buckets * scenario_bucket_bytes(bench) >> 20));
	error = guest_open(&bench->guest, buckets * scenario_bucket_bytes(bench),
			   &bench->options);
	if (error)
		return scenario_error("the guest", error);
	error = scenario->run(bench);
	report_progress(NULL);
	guest_close(&bench->guest);
	if (goals_measured(&bench->goals))
		goals_print(&bench->goals, bench->quick, stdout);
	other = write_files(bench);
	return error ? error : other;
}

int main(int argc, char **argv)
{
	static struct bench bench;
	const struct scenario *scenario;
	int status;

	if (!options_parse(&bench.options, argc, argv, &status))
		return status;
	scenario = scenario_find(bench.options.scenario);
	if (!scenario) {
		fprintf(stderr, "mapcache-bench: %s: no such scenario; see --help\n",
			bench.options.scenario);
		return 2;
	}
	machine_inspect(&bench.machine);
	status = run(&bench, scenario) ? 1 : 0;
	report_close(&bench.report);
	return status;
}
