/* SPDX-License-Identifier: MIT */
/* Unlocked pointers of the layer in examples/qemu: how long they are good, and no longer (E). */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/flag.h>

#include "qemu_stage.h"
#include "transient.h"

static const uint8_t *look_up(uint64_t gpa)
{
	return stage_map(gpa, 8, false, false);
}

/* Whether anything older than now is still mapped. */
static bool is_anything_old(void)
{
	for (int i = 0; i < 3; i++)
		mapcache_reclaim(stage.cache, UINT64_MAX);
	return mapcache_drain(stage.cache, mapcache_epoch(stage.cache), 0, MAPCACHE_DRAIN_PINS) !=
	       0;
}

static void an_unlocked_pointer_is_good_to_the_end_of_its_grace_period(void **state)
{
	const uint8_t *pointer;

	(void)state;
	stage_start(1024, NULL);
	pointer = look_up(300 * BED_PAGE);
	stage_exchange(300, 5);
	xen_invalidate_map_cache();
	assert_true(is_anything_old());
	stage_main_loop();
	assert_true(is_anything_old());
	assert_int_equal(stage_word(pointer), bed_value(300));
	stage_grace_period();
	assert_false(is_anything_old());
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(stage_word(look_up(300 * BED_PAGE)), 5);
	stage_stop();
}

static void an_unlocked_pointer_is_good_for_the_next_look_ups(void **state)
{
	const uint8_t *pointer;

	(void)state;
	stage_start(64 * 256, NULL);
	pointer = look_up(3 * BED_BUCKET);
	for (uint64_t i = 1; i < TRANSIENT_POINTERS; i++) {
		xen_invalidate_map_cache();
		mapcache_reclaim(stage.cache, UINT64_MAX);
		assert_non_null(look_up((10 + i) * BED_BUCKET));
	}
	assert_int_equal(stage_word(pointer), bed_value(3 * 256));
	stage_stop();
}

/* Its RCU read section may have begun after the grace period did. */
static void a_look_up_of_a_later_time_outlives_the_grace_period(void **state)
{
	const uint8_t *before, *after;

	(void)state;
	stage_start(4 * 256, NULL);
	before = look_up(0);
	xen_invalidate_map_cache();
	stage_main_loop();
	after = look_up(BED_BUCKET);
	/* Not even another INVALIDATE brings it nearer. */
	xen_invalidate_map_cache();
	stage_main_loop();
	assert_int_equal(stage_word(before), bed_value(0));
	stage_grace_period();
	assert_true(is_anything_old());
	assert_int_equal(stage_word(after), bed_value(256));
	/* That one asked for a grace period of its own. */
	stage_main_loop();
	stage_grace_period();
	assert_false(is_anything_old());
	stage_stop();
}

/* No wake-up, no call of RCU, no walk before the answer. */
static void an_answer_does_not_wait_for_unlocked_pointers(void **state)
{
	(void)state;
	stage_start(4 * 256, NULL);
	look_up(0);
	for (unsigned int i = 0; i < 1000; i++)
		xen_invalidate_map_cache();
	assert_true(stage.scheduled);
	stage_grace_period(); /* none was asked for */
	assert_true(is_anything_old());
	stage_main_loop();
	stage_grace_period();
	assert_false(is_anything_old());
	stage_stop();
}

struct idler {
	struct flag looked, invalidated, end;
};

static void *look_and_idle(void *data)
{
	struct idler *idler = data;
	const uint8_t *pointer = look_up(300 * BED_PAGE);
	bool kept = pointer != NULL;

	flag_set(&idler->looked);
	flag_wait(&idler->invalidated);
	kept = kept && *(const volatile uint64_t *)pointer == bed_value(300);
	flag_set(&idler->looked);
	flag_wait(&idler->end);
	return kept ? NULL : data;
}

static void a_thread_that_looks_nothing_up_any_more_keeps_nothing_old(void **state)
{
	struct idler idler = { .end = { 0 } };
	pthread_t thread;
	void *failed;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(pthread_create(&thread, NULL, look_and_idle, &idler), 0);
	flag_wait(&idler.looked);
	stage_exchange(300, 5);
	xen_invalidate_map_cache();
	stage_main_loop();
	flag_set(&idler.invalidated);
	flag_set(&idler.end);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	stage_grace_period();
	assert_false(is_anything_old());
	stage_stop();
}

static void *look_and_end(void *data)
{
	return (void *)(uintptr_t)(look_up(300 * BED_PAGE) == data);
}

static void a_thread_that_ends_keeps_nothing(void **state)
{
	pthread_t thread;

	(void)state;
	stage_start(1024, NULL);
	assert_int_equal(pthread_create(&thread, NULL, look_and_end, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	xen_invalidate_map_cache();
	assert_false(is_anything_old());
	stage_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unlocked_pointer_is_good_to_the_end_of_its_grace_period),
		cmocka_unit_test(an_unlocked_pointer_is_good_for_the_next_look_ups),
		cmocka_unit_test(a_look_up_of_a_later_time_outlives_the_grace_period),
		cmocka_unit_test(an_answer_does_not_wait_for_unlocked_pointers),
		cmocka_unit_test(a_thread_that_looks_nothing_up_any_more_keeps_nothing_old),
		cmocka_unit_test(a_thread_that_ends_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
