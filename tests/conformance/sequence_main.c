/* SPDX-License-Identifier: MIT */
/*
 * A sequence on xensim, its trace on standard output.
 *
 *	sequence SEED STEPS [STEP-TO-LEAVE-OUT...]
 */
#include <stdlib.h>

#include "tests/conformance/platform.h"
#include "tests/conformance/sequence.h"

int main(int argc, char **argv)
{
	static struct sequence sequence;

	if (argc < 3)
		return 2;
	sequence.seed = strtoull(argv[1], NULL, 0);
	sequence.steps = (unsigned int)strtoul(argv[2], NULL, 0);
	if (sequence.steps > SEQUENCE_STEPS)
		return 2;
	for (int i = 3; i < argc; i++)
		sequence.skip[strtoul(argv[i], NULL, 0) % SEQUENCE_STEPS] = true;
#ifdef __aarch64__
	platform_start(HOST_XENSIM_ARM);
#else
	platform_start(HOST_XENSIM_X86);
#endif
	sequence_run(&sequence, stdout);
	return 0;
}
