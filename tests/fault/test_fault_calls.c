/* SPDX-License-Identifier: MIT */
/*
 * Every call of the library that can fail, failing: each in turn, at each place, at each time
 * that a scenario of everything comes by there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/fault/calls.h>
#include <tests/fault/scenario.h>

#define TEST_SECONDS 240

/* A reclaim thread calls what it calls while the scenario lasts: go somewhat further. */
static uint64_t count_calls(const struct scenario_options *options)
{
	unsigned int steps;
	uint64_t calls;

	calls_start(0);
	steps = scenario_run(options);
	calls = calls_counted();
	print_message("%u steps, %lu calls that can fail at %u places\n", steps,
		      (unsigned long)calls, calls_sites());
	assert_true(steps > 50 && calls > 100);
	return calls;
}

static void fail_each(const struct scenario_options *options)
{
	struct calls_books before = calls_books(), after;
	uint64_t calls, met = 0;

	alarm(TEST_SECONDS);
	calls_step_time(!options->reclaim_thread);
	calls = count_calls(options);
	for (uint64_t nth = 1; nth <= calls; nth++) {
		calls_start(nth);
		scenario_run(options);
		met += calls_failed();
		after = calls_books();
		if (after.memory != before.memory || after.bytes != before.bytes ||
		    after.locks != before.locks)
			print_error("call %lu, %s\n", (unsigned long)nth, calls_failed_name());
		assert_int_equal(after.memory, before.memory);
		assert_int_equal(after.bytes, before.bytes);
		assert_int_equal(after.locks, before.locks);
	}
	calls_start(0);
	calls_step_time(false);
	print_message("%lu of them failed, one at a time\n", (unsigned long)met);
	/* The order of calls is the same each time, but for a reclaim thread's. */
	if (!options->reclaim_thread)
		assert_int_equal(met, calls);
	assert_true(met > calls / 2);
	alarm(0);
}

static void each_failing_call_is_an_error_and_the_next_attempt_works(void **state)
{
	(void)state;
	fail_each(&(struct scenario_options){ .reclaim_thread = false });
}

static void the_same_with_a_reclaim_thread(void **state)
{
	(void)state;
	fail_each(&(struct scenario_options){ .reclaim_thread = true });
}

static void the_same_on_an_older_xen(void **state)
{
	(void)state;
	fail_each(&(struct scenario_options){ .no_map_resource = true });
}

static void the_same_where_the_backend_chooses(void **state)
{
	(void)state;
	fail_each(&(struct scenario_options){ .anywhere = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_failing_call_is_an_error_and_the_next_attempt_works),
		cmocka_unit_test(the_same_with_a_reclaim_thread),
		cmocka_unit_test(the_same_on_an_older_xen),
		cmocka_unit_test(the_same_where_the_backend_chooses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
