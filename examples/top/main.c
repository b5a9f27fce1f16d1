/* SPDX-License-Identifier: MIT */
/* mapcache-top: what a running device model's map cache is doing (mapcache_publish(3)). */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mapcache/mapcache.h>

#include "page.h"
#include "screen.h"

struct options {
	const char *path;
	unsigned int interval_ms;
	unsigned long rounds; /* 0: until interrupted */
	bool json;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void usage(FILE *file)
{
	fputs("usage: mapcache-top [--json] [--interval MS] [--count N] FILE\n"
	      "\n"
	      "Shows what a device model has published with mapcache_publish(): rates, stale and\n"
	      "pinned memory, and what is worth looking at.\n"
	      "\n"
	      "  -j, --json         print the counters once, as one JSON object\n"
	      "  -i, --interval MS  between two screens, 100..60000 (default 1000)\n"
	      "  -n, --count N      screens before it ends (default: until interrupted)\n"
	      "  -h, --help\n"
	      "  -V, --version\n",
	      file);
}

static bool parse_number(const char *text, unsigned long least, unsigned long most,
			 unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && *text >= '0' && *text <= '9' && !*end && *value >= least && *value <= most;
}

/* 0: go on; else the status to exit with, plus one. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long value;
	int option;

	while ((option = getopt_long(argc, argv, "ji:n:hV", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			options->json = true;
			break;
		case 'i':
			if (!parse_number(optarg, 100, 60000, &value))
				goto bad;
			options->interval_ms = (unsigned int)value;
			break;
		case 'n':
			if (!parse_number(optarg, 1, 1000000, &options->rounds))
				goto bad;
			break;
		case 'h':
			usage(stdout);
			return 1;
		case 'V':
			printf("mapcache-top %d.%d.%d\n", MAPCACHE_VERSION_MAJOR,
			       MAPCACHE_VERSION_MINOR, MAPCACHE_VERSION_PATCH);
			return 1;
		default:
			goto bad;
		}
	}
	if (argc - optind != 1)
		goto bad;
	options->path = argv[optind];
	return 0;
bad:
	usage(stderr);
	return 3;
}

static void print_json(const struct mapcache_published *page, const struct sample *sample)
{
	printf("{\n  \"version\": \"%s\",\n  \"pid\": %u,\n  \"domid\": %u,\n  \"time_ns\": %" PRIu64,
	       page->version, page->pid, page->domid, sample->time_ns);
	for (uint32_t i = 0; i < sample->count; i++)
		printf(",\n  \"%s\": %" PRIu64, page->counter[i].name, sample->value[i]);
	printf("\n}\n");
}

static void wait_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&time, NULL);
}

static int watch(const struct mapcache_published *page, const struct options *options)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct sample before, now;
	int error = page_read(page, &before);

	for (unsigned long round = 0; !error && !interrupted; round++) {
		if (options->rounds && round == options->rounds)
			break;
		wait_ms(options->interval_ms);
		error = page_read(page, &now);
		if (error || interrupted)
			break;
		screen_show(page, &before, &now, stdout, terminal);
		before = now;
	}
	return error;
}

int main(int argc, char **argv)
{
	struct options options = { .interval_ms = 1000 };
	const struct mapcache_published *page = NULL;
	struct sample sample;
	int error = parse(argc, argv, &options);

	if (error)
		return error - 1;
	error = page_open(options.path, &page);
	if (error) {
		fprintf(stderr, "mapcache-top: %s: %s\n", options.path,
			error == -EINVAL ? "not a file that mapcache_publish() writes"
					 : strerror(-error));
		return 1;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (options.json) {
		error = page_read(page, &sample);
		if (!error)
			print_json(page, &sample);
	} else {
		error = watch(page, &options);
	}
	if (error)
		fprintf(stderr, "mapcache-top: %s is being written all the time\n", options.path);
	page_close(page);
	return error ? 1 : 0;
}
