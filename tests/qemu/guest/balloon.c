/* SPDX-License-Identifier: MIT */
/*
 * balloon LOW_MIB SECONDS: gives memory down to LOW_MIB back to Xen and takes it again, as often
 * as it can. Every hypercall that gives memory back makes Xen send an INVALIDATE.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER "/sys/devices/system/xen_memory/xen_memory0/"
#define PATIENCE 20.0 /* seconds, for one way */

static long read_kb(const char *path)
{
	char text[32] = "";
	int file = open(path, O_RDONLY);
	ssize_t got = file < 0 ? -1 : read(file, text, sizeof(text) - 1);

	if (file >= 0)
		close(file);
	return got > 0 ? atol(text) : -1;
}

static long current_kb(void)
{
	return read_kb(FOLDER "info/current_kb");
}

static bool set_target_kb(long kb)
{
	int file = open(FOLDER "target_kb", O_WRONLY);
	bool done = file >= 0 && dprintf(file, "%ld", kb) > 0;

	if (file >= 0)
		close(file);
	return done;
}

/* Waits until the balloon is where it should be; returns the seconds, or less than 0. */
static double move_to(long kb)
{
	bool down = kb < current_kb();
	double start = now();

	if (!set_target_kb(kb))
		return -1;
	while (down ? current_kb() > kb : current_kb() < kb) {
		if (now() - start > PATIENCE)
			return -1;
		usleep(2000);
	}
	return now() - start;
}

int command_balloon(int argc, char **argv)
{
	long low = argc == 3 ? atol(argv[1]) * 1024 : 0, high = current_kb();
	double end = now() + (argc == 3 ? atof(argv[2]) : 0), down = 0, up = 0;
	unsigned int cycles = 0, stuck = 0;
	double mib = (double)(high - low) / 1024;

	if (argc != 3 || high <= low)
		return 2;
	do {
		double took = move_to(low), back = move_to(high);

		stuck += took < 0 || back < 0;
		down += took;
		up += back;
		cycles++;
	} while (now() < end && !stuck);
	printf("RESULT balloon cycles %u stuck %u decrease_ms_per_2MiB %.2f increase_ms_per_2MiB %.2f\n",
	       cycles, stuck, down * 2000 / (cycles * mib), up * 2000 / (cycles * mib));
	return stuck != 0;
}
