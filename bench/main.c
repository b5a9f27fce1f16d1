/* SPDX-License-Identifier: MIT */
/* mapcache-bench: see that the machine can do it, run one scenario, write the results. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapcache/mapcache.h>

#include "bench/scenario.h"

/* Kernel mappings that are not buckets. */
#define SPARE_MAPPINGS 1000
/* Several contestants have the whole working set mapped at once. */
#define MAPPERS 3

/* Less than this is not worth measuring. */
#define FEWEST_BUCKETS 256

static uint64_t memory_needed(const struct bench *bench, uint64_t buckets)
{
	uint64_t bytes = buckets * scenario_bucket_bytes(bench);

	/* Page tables of several mappings of it; the contestants' own memory. */
	return guest_memory(bytes) + bytes / 32;
}

static uint64_t mappings_needed(uint64_t buckets)
{
	return buckets * MAPPERS + SPARE_MAPPINGS;
}

static bool has_memory(const struct bench *bench, uint64_t buckets)
{
	uint64_t available = bench->machine.memory_available;

	return !available || memory_needed(bench, buckets) <= available;
}

static bool has_mappings(const struct bench *bench, uint64_t buckets)
{
	uint64_t limit = bench->machine.mappings_limit;

	return !limit || mappings_needed(buckets) <= limit;
}

/* What a scenario needs, or what there is room for; 0 when that is not enough. */
static uint64_t choose_buckets(struct bench *bench, const struct scenario *scenario)
{
	uint64_t wanted = scenario->buckets(bench), buckets = wanted;

	while (scenario->shrinks && buckets / 2 >= FEWEST_BUCKETS &&
	       !(has_memory(bench, buckets) && has_mappings(bench, buckets)))
		buckets /= 2;
	if (!has_memory(bench, buckets)) {
		fprintf(stderr,
			"mapcache-bench: %s needs %llu MiB of memory, %llu MiB are "
			"available; choose a smaller --working-set\n",
			scenario->name, (unsigned long long)(memory_needed(bench, buckets) >> 20),
			(unsigned long long)(bench->machine.memory_available >> 20));
		return 0;
	}
	if (!has_mappings(bench, buckets)) {
		fprintf(stderr,
			"mapcache-bench: %s needs %llu kernel mappings, vm.max_map_count "
			"allows %llu; choose a smaller --working-set\n",
			scenario->name, (unsigned long long)mappings_needed(buckets),
			(unsigned long long)bench->machine.mappings_limit);
		return 0;
	}
	if (buckets < wanted) {
		bench->buckets_limit = buckets;
		fprintf(stderr,
			"mapcache-bench: too little memory or too few kernel mappings: "
			"working sets of more than %llu buckets are left out\n",
			(unsigned long long)buckets);
	}
	return buckets;
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

/* Clocks that others disturb are no clocks: from here on figures are not worth believing. */
#define QUIET_PERCENT 5.0
#define LOOK_US 200000

static void warn_if_disturbed(struct bench *bench, const struct machine_load *since,
			      const char *when)
{
	double *others = &bench->others_percent, *stolen = &bench->stolen_percent;

	machine_disturbed(since, others, stolen);
	if (*others <= QUIET_PERCENT && *stolen <= QUIET_PERCENT)
		return;
	fflush(stdout);
	fprintf(stderr,
		"mapcache-bench: this machine is not quiet: %s other programs had %.0f %% of its "
		"processors, other machines of its host %.0f %%; do not rely on these figures\n",
		when, *others, *stolen);
}

static void look_whether_quiet(struct bench *bench)
{
	struct machine_load before = machine_load();

	usleep(LOOK_US);
	warn_if_disturbed(bench, &before, "before the start");
}

static int write_json(const struct bench *bench, const char *path)
{
	const struct machine *machine = &bench->machine;
	FILE *file = fopen(path, "w");

	if (!file)
		return -errno;
	fprintf(file, "{\n");
	goals_print_json(&bench->goals, file);
	fprintf(file,
		"  \"environment\": {\"version\": \"%s\", \"platform\": \"%s\", "
		"\"processor\": \"%s\", \"cpus\": %u, \"kernel\": \"%s\", \"timer_ns\": %.2f, "
		"\"seed\": %llu, \"bucket_shift\": %u, \"others_percent\": %.1f, "
		"\"stolen_percent\": %.1f},\n",
		mapcache_version(), guest_platform, machine->processor, machine->cpus,
		machine->kernel, machine->timer_ns, (unsigned long long)bench->options.seed,
		bench->options.bucket_shift, bench->others_percent, bench->stolen_percent);
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

/* Before hours are spent on what cannot be written. */
static int check_writable(const char *path)
{
	FILE *file = path ? fopen(path, "w") : NULL;

	if (path && !file)
		return scenario_error(path, -errno);
	return path ? fclose(file) : 0;
}

static int run(struct bench *bench, const struct scenario *scenario)
{
	uint64_t buckets = choose_buckets(bench, scenario);
	struct machine_load before;
	int error, other;

	if (!buckets)
		return -ENOMEM;
	describe(bench, buckets);
	look_whether_quiet(bench);
	before = machine_load();
	report_progress("making a guest of %llu MiB",
			(unsigned long long)(buckets * scenario_bucket_bytes(bench) >> 20));
	error = guest_open(&bench->guest, buckets * scenario_bucket_bytes(bench), &bench->options);
	if (error)
		return scenario_error("the guest", error);
	error = scenario->run(bench);
	report_progress(NULL);
	warn_if_disturbed(bench, &before, "meanwhile");
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
	if (check_writable(bench.options.json) || check_writable(bench.options.csv))
		return 2;
	machine_inspect(&bench.machine);
	status = run(&bench, scenario) ? 1 : 0;
	report_close(&bench.report);
	return status;
}
