/* SPDX-License-Identifier: MIT */
/* All tests on a real Xen, one after the other. */
#include "tests/xen/test.h"

#include <stdio.h>

int main(void)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	failed += test_run_all(controls_tests, controls_tests_count);
	return failed > 0;
}
