/* SPDX-License-Identifier: MIT */
/* All tests on a real Xen, one after the other. */
#include "tests/xen/test.h"

#include <stdio.h>

int main(void)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
#define RUN(subject) failed += test_run_all(subject##_tests, subject##_tests_count);
	TEST_SUBJECTS(RUN)
#undef RUN
	return failed > 0;
}
