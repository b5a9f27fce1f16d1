/* SPDX-License-Identifier: MIT */
/* What the demo can be asked on its command line. */
#ifndef DEMO_OPTIONS_H
#define DEMO_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *image;   /* the disk; it is copied, the file itself is only read */
	const char *json;    /* where to write the figures, or NULL */
	const char *publish; /* counters, or NULL */
	uint32_t seconds;
	uint32_t balloon_rate; /* rounds of balloon hypercalls a second; 0: none */
	uint32_t bucket_shift;
	bool drained; /* answer INVALIDATE after sections have been drained */
	bool help;
};

/* 0, or -EINVAL with *reason; the text lives as long as the program. */
int options_parse(int argc, char **argv, struct options *options, const char **reason);
void options_print_help(void);

#endif
