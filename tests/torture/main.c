/* SPDX-License-Identifier: MIT */
/* The program: rounds until enough accesses were checked, and the report. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "torture.h"

#define ROUNDS_LEAST UINT64_C(24)
#define ROUND_MOST UINT64_C(400000) /* accesses */
#define ROUND_SECONDS 600           /* longer is a standstill */

/* A mapping that went while it was used, or a standstill. */
static void tell_signal(int number)
{
	const char *text = number == SIGALRM ? "FAILED: the round does not end\n"
					     : "FAILED: memory in use is not mapped\n";

	(void)!write(STDERR_FILENO, text, strlen(text));
	abort();
}

static void usage(FILE *file)
{
	fprintf(file, "usage: torture [options]\n"
		      "  --accesses N   checked accesses, at least; default $TORTURE_ACCESSES\n"
		      "                 or 1000000\n"
		      "  --seed N       default 1\n"
		      "  --round N      only this round of that run\n"
		      "  --verbose      a line for every round\n"
		      "  --help\n");
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || end == text) {
		fprintf(stderr, "torture: not a number: %s\n", text);
		exit(2);
	}
	return value;
}

static void parse(struct torture *torture, uint64_t *only, int argc, char **argv)
{
	static const struct option options[] = {
		{ "accesses", required_argument, NULL, 'a' },
		{ "seed", required_argument, NULL, 's' },
		{ "round", required_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'a':
			torture->accesses = number(optarg);
			break;
		case 's':
			torture->seed = number(optarg);
			break;
		case 'r':
			*only = number(optarg);
			break;
		case 'v':
			torture->verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
}

static void progress(const struct torture *torture, uint64_t round, uint64_t started)
{
	if (!torture->verbose)
		return;
	printf("round %" PRIu64 ": %" PRIu64 " of %" PRIu64 " accesses checked, %.0f s\n", round,
	       torture->checked, torture->accesses, (double)(clock_now() - started) / 1e9);
	fflush(stdout);
}

static void report(const struct torture *torture, uint64_t rounds, uint64_t started)
{
	static const char *const texts[] = {
#define FEATURE_TEXT(name, text) text,
		FEATURES(FEATURE_TEXT)
#undef FEATURE_TEXT
	};
	const struct histogram *late = &torture->late;

	printf("%" PRIu64 " accesses checked in %" PRIu64 " rounds (seed %" PRIu64
	       "), %.0f s: 0 stale, 0 lost, nothing leaked\n",
	       torture->checked, rounds, torture->seed, (double)(clock_now() - started) / 1e9);
	printf("%" PRIu64 " refused for want of room or by an injected fault\n", torture->refused);
	printf("%" PRIu64 " INVALIDATEs, %" PRIu64 " map calls\n", torture->invalidates,
	       torture->map_calls);
	for (unsigned int i = 0; i < FEATURE_COUNT; i++)
		printf("  %-30s %" PRIu64 "\n", texts[i], torture->features[i]);
	printf("old memory used through a pin after the answer: %" PRIu64 " times\n",
	       torture->late_pins);
	printf("old memory used by a running section after the answer, us: %" PRIu64
	       " times, p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, most %.1f\n",
	       late->count, (double)histogram_percentile(late, 50) / 1e3,
	       (double)histogram_percentile(late, 90) / 1e3,
	       (double)histogram_percentile(late, 99) / 1e3,
	       (double)histogram_percentile(late, 99.9) / 1e3, (double)late->maximum / 1e3);
}

int main(int argc, char **argv)
{
	static struct torture torture = { .seed = 1, .accesses = 1000000 };
	uint64_t rounds = 0, only = UINT64_MAX, started = clock_now(), each;
	const char *accesses = getenv("TORTURE_ACCESSES");

	if (accesses)
		torture.accesses = number(accesses);
	parse(&torture, &only, argc, argv);
	printf("libmapcache %s, seed %" PRIu64 "\n", mapcache_version(), torture.seed);
	fflush(stdout);
	signal(SIGALRM, tell_signal);
	signal(SIGSEGV, tell_signal);
	signal(SIGBUS, tell_signal);
	each = torture.accesses / ROUNDS_LEAST + 1;
	each = each < ROUND_MOST ? each : ROUND_MOST;
	for (; rounds < ROUNDS_LEAST || torture.checked < torture.accesses; rounds++) {
		if (only != UINT64_MAX && only != rounds)
			continue;
		alarm(ROUND_SECONDS);
		round_run(&torture, rounds, each);
		progress(&torture, rounds, started);
		if (only == rounds)
			break;
	}
	report(&torture, rounds, started);
	return 0;
}
