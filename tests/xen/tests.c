/* SPDX-License-Identifier: MIT */
/* All tests on a real Xen, one after the other. */
#include "tests/xen/test.h"

#include <stdio.h>

#include "tests/xen/domain.h"

int main(void)
{
	unsigned int left;
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Nothing of a program that ran before this one is the first test's. */
	left = domain_destroy_all();
	if (left)
		printf("# %u domains were left by another program\n", left);
#define RUN(subject) failed += test_run_all(subject##_tests, subject##_tests_count);
	TEST_SUBJECTS(RUN)
#undef RUN
	return failed > 0;
}
