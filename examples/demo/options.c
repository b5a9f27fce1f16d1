/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"The demo: a virtio block device, built on libmapcache, serves a disk image to a guest on\n"
	"a simulated Xen, while the guest gives its memory away and takes it back.\n"
	"\n"
	"  --image FILE        an ext4 image to serve (a copy of it is)\n"
	"  --seconds N         how long, at least (8); every phase runs once in any case\n"
	"  --balloon-rate HZ   balloon hypercalls, out and in, a second (500); 0: none\n"
	"  --bucket-shift S    log2 bytes of a bucket of the cache, 12 to 30 (20)\n"
	"  --ack MODE          answer INVALIDATE immediate(ly), or once sections are drained\n"
	"  --publish FILE      counters for mapcache-top, while it runs\n"
	"  --json FILE         write the figures there, too\n"
	"  --help              this text\n";

static const struct option long_options[] = {
	{ "image", required_argument, NULL, 'i' },
	{ "seconds", required_argument, NULL, 's' },
	{ "balloon-rate", required_argument, NULL, 'r' },
	{ "bucket-shift", required_argument, NULL, 'b' },
	{ "ack", required_argument, NULL, 'a' },
	{ "publish", required_argument, NULL, 'p' },
	{ "json", required_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int parse_number(const char *text, uint32_t low, uint32_t high, uint32_t *value)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || number < low || number > high)
		return -EINVAL;
	*value = (uint32_t)number;
	return 0;
}

static int parse_ack(const char *text, bool *drained)
{
	*drained = strcmp(text, "drained") == 0;
	return *drained || strcmp(text, "immediate") == 0 ? 0 : -EINVAL;
}

static int parse_one(struct options *options, int option, const char **reason)
{
	switch (option) {
	case 'i':
		options->image = optarg;
		return 0;
	case 'j':
		options->json = optarg;
		return 0;
	case 'p':
		options->publish = optarg;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	case 's':
		*reason = "--seconds is a number from 1 to 86400";
		return parse_number(optarg, 1, 86400, &options->seconds);
	case 'r':
		*reason = "--balloon-rate is a number from 0 to 100000";
		return parse_number(optarg, 0, 100000, &options->balloon_rate);
	case 'b':
		*reason = "--bucket-shift is a number from 12 to 30";
		return parse_number(optarg, 12, 30, &options->bucket_shift);
	case 'a':
		*reason = "--ack is immediate or drained";
		return parse_ack(optarg, &options->drained);
	default:
		*reason = "unknown option, or its value is missing (see --help)";
		return -EINVAL;
	}
}

int options_parse(int argc, char **argv, struct options *options, const char **reason)
{
	int option, error = 0;

	*options = (struct options){
		.seconds = 8,
		.balloon_rate = 500,
		.bucket_shift = 20,
	};
	opterr = 0;
	while (!error && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		error = parse_one(options, option, reason);
	if (!error && optind != argc) {
		*reason = "arguments that are no options (see --help)";
		error = -EINVAL;
	}
	if (!error && !options->image && !options->help) {
		*reason = "no --image was given";
		error = -EINVAL;
	}
	return error;
}

void options_print_help(void)
{
	fputs(help, stdout);
}
