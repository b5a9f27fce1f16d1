/* SPDX-License-Identifier: MIT */
/*
 * In dom0: random sequences on this Xen and on xensim (a helper in the initramfs), compared step by
 * step. One that differs is cut down to the shortest that still does, and both traces are shown.
 *
 * Environment: XEN_SEQUENCES (50), XEN_FIRST_SEED (1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/platform.h"
#include "tests/conformance/sequence.h"
#include "tests/xen/domain.h"

#define SECONDS 120
#define XENSIM "/helpers/sequence"

static char here[SEQUENCE_TRACE], there[SEQUENCE_TRACE];

static void read_all(FILE *file, char *to)
{
	to[fread(to, 1, SEQUENCE_TRACE - 1, file)] = 0;
}

/* In a process of its own: what it leaves goes with it. */
static void run_here(const struct sequence *sequence)
{
	FILE *trace = tmpfile();
	int status = 0;
	pid_t child;

	if (!trace)
		abort();
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(SECONDS);
		sequence_run(sequence, trace);
		fflush(trace);
		_exit(0);
	}
	waitpid(child, &status, 0);
	domain_destroy_all();
	if (status)
		fprintf(trace, "ended with status %x\n", (unsigned int)status);
	rewind(trace);
	read_all(trace, here);
	fclose(trace);
}

static void run_there(const struct sequence *sequence)
{
	static char command[64 + 8 * SEQUENCE_STEPS];
	int length = snprintf(command, sizeof(command), "%s %llu %u", XENSIM,
			      (unsigned long long)sequence->seed, sequence->steps);
	FILE *trace;

	for (unsigned int i = 0; i < sequence->steps; i++)
		if (sequence->skip[i])
			length += snprintf(command + length, sizeof(command) - (size_t)length,
					   " %u", i);
	trace = popen(command, "r");
	if (!trace)
		abort();
	read_all(trace, there);
	pclose(trace);
}

/* The number of the first step whose lines differ; -1: none does. */
static int difference(const struct sequence *sequence)
{
	const char *one = here, *other = there;
	int step = 0;

	run_here(sequence);
	run_there(sequence);
	if (!strcmp(here, there))
		return -1;
	while (*one && *one == *other) {
		if (*one++ == '\n')
			step = atoi(one);
		other++;
	}
	return step;
}

static void shrink(struct sequence *sequence, int step)
{
	sequence->steps = (unsigned int)step + 1;
	for (unsigned int size = sequence->steps / 2; size; size /= 2) {
		for (unsigned int from = 0; from < sequence->steps; from += size) {
			struct sequence shorter = *sequence;

			for (unsigned int i = from; i < from + size && i + 1 < shorter.steps; i++)
				shorter.skip[i] = true;
			if (memcmp(&shorter, sequence, sizeof(shorter)) &&
			    difference(&shorter) >= 0)
				*sequence = shorter;
		}
	}
	difference(sequence);
}

static bool check(uint64_t seed)
{
	static struct sequence sequence;
	int step;

	memset(&sequence, 0, sizeof(sequence));
	sequence.seed = seed;
	sequence.steps = SEQUENCE_STEPS;
	step = difference(&sequence);
	if (step < 0) {
		printf("TRACE %llu %016llx\n", (unsigned long long)seed,
		       (unsigned long long)sequence_hash(here));
		return true;
	}
	printf("error: seed %llu differs in step %d\n", (unsigned long long)seed, step);
	shrink(&sequence, step);
	printf("the shortest, on this Xen:\n%son xensim:\n%s", here, there);
	return false;
}

static unsigned int number(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 0) : otherwise;
}

int main(void)
{
	unsigned int count = number("XEN_SEQUENCES", 50), first = number("XEN_FIRST_SEED", 1);
	unsigned int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("[ RUN      ] random_sequences_are_the_same_on_xensim\n");
	for (unsigned int i = 0; i < count && failed < 3; i++) {
		failed += !check(first + i);
		if (i % 50 == 49)
			printf("# %u sequences of %u steps\n", i + 1, SEQUENCE_STEPS);
	}
	printf("[  %s ] random_sequences_are_the_same_on_xensim\n", failed ? "FAILED " : "     OK");
	return failed > 0;
}
