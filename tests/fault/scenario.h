/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be asked of a cache, once, on a guest of its own; any one call beneath it
 * may fail. A step that fails must leave all as it was, and succeed when it is done again.
 */
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct scenario_options {
	bool reclaim_thread;  /* what it calls when is nobody's to foresee */
	bool no_map_resource; /* an older Xen */
	bool anywhere;        /* a backend that maps where it likes */
};

/* Asserts with cmocka. Returns how many steps were done. */
unsigned int scenario_run(const struct scenario_options *options);

#endif
