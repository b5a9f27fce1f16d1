/* SPDX-License-Identifier: MIT */
/*
 * Sequences on xensim.
 *
 *	sequence SEED STEPS [STEP-TO-LEAVE-OUT...]	its trace
 *	sequence --hashes FIRST-SEED COUNT		the hash of each whole one's
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/platform.h"
#include "tests/conformance/sequence.h"

static void run(const struct sequence *sequence, FILE *trace)
{
#ifdef __aarch64__
	platform_start(HOST_XENSIM_ARM);
#else
	platform_start(HOST_XENSIM_X86);
#endif
	sequence_run(sequence, trace);
	fflush(trace);
}

/* One xensim a process. */
static int print_hash(uint64_t seed)
{
	static struct sequence sequence = { .steps = SEQUENCE_STEPS };
	static char text[SEQUENCE_TRACE];
	FILE *trace = tmpfile();
	int status = 0;
	pid_t child;

	if (!trace)
		return 1;
	sequence.seed = seed;
	fflush(stdout);
	child = fork();
	if (!child) {
		run(&sequence, trace);
		_exit(0);
	}
	if (waitpid(child, &status, 0) < 0 || status)
		return 1;
	rewind(trace);
	text[fread(text, 1, sizeof(text) - 1, trace)] = 0;
	fclose(trace);
	printf("%llu %016llx\n", (unsigned long long)seed, (unsigned long long)sequence_hash(text));
	return 0;
}

int main(int argc, char **argv)
{
	static struct sequence sequence;
	uint64_t seed, end;
	int failed = 0;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "--hashes") && argc == 4) {
		seed = strtoull(argv[2], NULL, 0);
		for (end = seed + strtoull(argv[3], NULL, 0); seed < end; seed++)
			failed |= print_hash(seed);
		return failed;
	}
	sequence.seed = strtoull(argv[1], NULL, 0);
	sequence.steps = (unsigned int)strtoul(argv[2], NULL, 0);
	if (sequence.steps > SEQUENCE_STEPS)
		return 2;
	for (int i = 3; i < argc; i++)
		sequence.skip[strtoul(argv[i], NULL, 0) % SEQUENCE_STEPS] = true;
	run(&sequence, stdout);
	return 0;
}
