/* SPDX-License-Identifier: MIT */
/* Figures for people. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/clock.h"

static const char *const phase_names[DEMO_PHASES] = {
	[DEMO_QUIET] = "reading, no ballooning",
	[DEMO_READING] = "reading while ballooning",
	[DEMO_WRITING] = "rewriting while ballooning",
	[DEMO_CHECKING] = "reading it all once more",
};

void report_progress(const struct demo *demo, uint64_t nanoseconds)
{
	struct xensim_totals totals;

	if (!isatty(STDOUT_FILENO))
		return;
	xensim_totals(&totals);
	printf("\r%4.1f s  %-28s %9" PRIu64 " requests  %9" PRIu64 " INVALIDATEs  %" PRIu64
	       " stale\033[K",
	       (double)nanoseconds / CLOCK_SECOND, phase_names[demo_phase(demo)],
	       __atomic_load_n(&demo->progress, __ATOMIC_RELAXED), totals.invalidates_sent,
	       __atomic_load_n(&demo->stale, __ATOMIC_RELAXED));
	fflush(stdout);
}

void report_progress_end(void)
{
	if (isatty(STDOUT_FILENO))
		printf("\r\033[K");
}

static double microseconds(const struct histogram *histogram, double percent)
{
	return (double)histogram_percentile(histogram, percent) / 1000;
}

static void print_rates(const struct demo *demo)
{
	int phase;

	printf("%-28s %10s %10s\n", "disk", "requests", "MB/s");
	for (phase = 0; phase < DEMO_PHASES; phase++) {
		const struct demo_traffic *traffic = &demo->traffic[phase];
		double seconds = (double)traffic->nanoseconds / CLOCK_SECOND;

		printf("  %-26s %10" PRIu64 " %10.1f\n", phase_names[phase], traffic->requests,
		       seconds > 0 ? (double)traffic->bytes / 1e6 / seconds : 0);
	}
}

static void print_times(const char *name, const struct histogram *histogram, double percent)
{
	if (!histogram->count) {
		printf("  %-26s %10s %10s %10s %10s\n", name, "0", "-", "-", "-");
		return;
	}
	printf("  %-26s %10" PRIu64 " %10.1f %10.1f %10.1f\n", name, histogram->count,
	       microseconds(histogram, 50), microseconds(histogram, percent),
	       microseconds(histogram, 100));
}

static void print_count(const char *name, uint64_t value)
{
	printf("  %-26s %10" PRIu64 "\n", name, value);
}

void report_table(const struct report *report)
{
	const struct demo *demo = report->demo;
	const struct mapcache_stats *stats = &report->stats;

	print_rates(demo);
	printf("%-28s %10s %10s %10s %10s\n", "INVALIDATE, us", "count", "p50", "p99", "max");
	print_times("the device model answers", &report->host->answered, 99);
	print_times("the vCPU stands still", &demo->stood_still, 99);
	printf("%-28s %10s %10s %10s %10s\n", "MMIO read, us", "count", "p50", "p99.9", "max");
	print_times("without ballooning", &demo->registers[0], 99.9);
	print_times("with ballooning", &demo->registers[1], 99.9);
	printf("the cache\n");
	print_count("INVALIDATEs sent", report->invalidates);
	print_count("pages ballooned", demo->ballooned);
	print_count("mappings made", stats->map_calls);
	print_count("pages mapped", stats->pages_mapped);
	print_count("refreshed in place", stats->refreshed_in_place);
	print_count("refreshed in a fresh slot", stats->refreshed_in_fresh_slot);
	print_count("reclaimed", stats->unmap_calls);
	print_count("most stale bytes at once", stats->stale_bytes_max);
	printf("the result\n");
	print_count("stale reads found", __atomic_load_n(&demo->stale, __ATOMIC_RELAXED));
	print_count("pages leaked", report->pages_leaked);
	printf("  %-26s %.16s...\n", "SHA-256 of the image", report->image_digest);
	printf("  %-26s %.16s...\n", "  as the guest read it", demo->read_digest[2]);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void json_times(FILE *file, const char *name, const struct histogram *histogram)
{
	fprintf(file,
		"  \"%s\": {\"count\": %" PRIu64 ", \"p50_us\": %.3f, \"p99_us\": %.3f, "
		"\"p99.9_us\": %.3f, \"max_us\": %.3f},\n",
		name, histogram->count, microseconds(histogram, 50), microseconds(histogram, 99),
		microseconds(histogram, 99.9), microseconds(histogram, 100));
}

static void json_traffic(FILE *file, const struct demo *demo)
{
	static const char *const names[DEMO_PHASES] = { "quiet", "reading", "writing", "checking" };
	int phase;

	for (phase = 0; phase < DEMO_PHASES; phase++)
		fprintf(file,
			"  \"%s\": {\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
			", \"seconds\": %.6f},\n",
			names[phase], demo->traffic[phase].requests, demo->traffic[phase].bytes,
			(double)demo->traffic[phase].nanoseconds / CLOCK_SECOND);
}

static void json_options(FILE *file, const struct options *options)
{
	fprintf(file,
		"  \"seconds\": %u,\n  \"balloon_rate\": %u,\n  \"bucket_shift\": %u,\n"
		"  \"ack\": \"%s\",\n",
		options->seconds, options->balloon_rate, options->bucket_shift,
		options->drained ? "drained" : "immediate");
}

static void json_counters(FILE *file, const struct report *report)
{
	const struct demo *demo = report->demo;
	const struct mapcache_stats *stats = &report->stats;

	fprintf(file,
		"  \"invalidates\": %" PRIu64 ",\n  \"pages_ballooned\": %" PRIu64
		",\n  \"populate_retries\": %" PRIu64 ",\n  \"device_requests\": %" PRIu64
		",\n  \"stale_reads\": %" PRIu64 ",\n  \"pages_leaked\": %" PRIu64 ",\n",
		report->invalidates, demo->ballooned, demo->balloon_retries,
		report->device.requests, demo->stale, report->pages_leaked);
#define FIELD(name, text) fprintf(file, "  \"cache_" #name "\": %" PRIu64 ",\n", stats->name);
	MAPCACHE_STATISTICS(FIELD)
#undef FIELD
	fprintf(file, "  \"sha256_image\": \"%s\",\n  \"sha256_guest\": \"%s\",\n",
		report->image_digest, demo->read_digest[2]);
}

int report_json(const struct report *report, const char *path, const char *verdict)
{
	FILE *file = fopen(path, "w");
	int error = 0;

	if (!file)
		return -errno;
	fprintf(file, "{\n");
	json_options(file, &report->demo->options);
	json_traffic(file, report->demo);
	json_times(file, "answer", &report->host->answered);
	json_times(file, "vcpu_stands_still", &report->demo->stood_still);
	json_times(file, "mmio_quiet", &report->demo->registers[0]);
	json_times(file, "mmio_ballooning", &report->demo->registers[1]);
	json_counters(file, report);
	fprintf(file, "  \"verdict\": \"%s\"\n}\n", verdict);
	if (ferror(file))
		error = -EIO;
	if (fclose(file) && !error)
		error = -errno;
	return error;
}
