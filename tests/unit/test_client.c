/* SPDX-License-Identifier: MIT */
/* Clients and their sections; closing a cache. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define FENCED                                                                                     \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.cache = { .flags = MAPCACHE_NO_MEMBARRIER | MAPCACHE_NO_RECLAIM_THREAD },         \
	}

static void check_nesting(const struct rig_options *options)
{
	struct bed bed;

	bed_start(&bed, options);
	assert_int_equal(mapcache_end(bed.client), -EINVAL);
	for (unsigned int depth = 1; depth < 100; depth++) {
		for (unsigned int i = 0; i < depth; i++)
			mapcache_begin(bed.client);
		for (unsigned int i = 0; i < depth; i++) {
			assert_int_equal(mapcache_client_close(bed.client), -EBUSY);
			assert_int_equal(*bed_ptr(bed.client, 0, PROT_READ), bed_value(0));
			assert_int_equal(mapcache_end(bed.client), 0);
		}
		assert_int_equal(mapcache_end(bed.client), -EINVAL);
		assert_int_equal(mapcache_end(bed.client), -EINVAL);
	}
	bed_stop(&bed);
}

static void sections_nest_and_the_outermost_end_counts(void **state)
{
	(void)state;
	check_nesting(BED_QUIET);
}

static void sections_nest_without_membarrier(void **state)
{
	(void)state;
	check_nesting(FENCED);
}

static void an_end_too_many_harms_nothing(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_end(bed.client), -EINVAL);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.client), -EINVAL);
	mapcache_begin(bed.client);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_end(bed.client), 0);
	/* Still inside: what is retired now is kept. */
	assert_int_equal(*bed_ptr(bed.client, 0, PROT_READ), bed_value(0));
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().foreign_mappings, 1);
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	bed_stop(&bed);
}

/* All of what the tests of guarantee B show with membarrier(2). */
static void without_membarrier_sections_hold_what_they_use(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, FENCED);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, 0, PROT_READ);
	bed_exchange(&bed, 0, 1);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, 1, 0, 0), -EDEADLK);
	assert_int_equal(bed_read(bed.other, 0), 1);
	bed_reclaim(&bed);
	assert_int_equal(*pointer, bed_value(0));
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_drain(bed.cache, 2, 0, 0), 0);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, 0), 1);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 1);
	bed_stop(&bed);
}

static int look_at_pages(struct peer *peer, void *data)
{
	uint64_t *wrong = data;

	for (uint64_t i = 0; i < 500; i++) {
		struct peer_look look = { .gpa = i * 37 % 1024 * BED_PAGE };
		int error = peer_read(peer, &look);

		*wrong += error ? error != -EAGAIN : look.value != bed_value(look.gpa / BED_PAGE);
	}
	return 0;
}

static void without_membarrier_threads_see_what_they_should(void **state)
{
	uint64_t wrong[2] = { 0, 0 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_MEMBARRIER,
							  .bucket_shift = 16,
							  .max_bytes = 6 << 16,
							  .reclaim_ms = 1 } });
	for (unsigned int i = 0; i < 2; i++) {
		peer_open(&peers[i], bed.cache);
		peer_start(&peers[i], look_at_pages, &wrong[i]);
	}
	while (peer_busy(&peers[0]) || peer_busy(&peers[1]))
		mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 2; i++) {
		peer_close(&peers[i]);
		assert_int_equal(wrong[i], 0);
	}
	bed_stop(&bed);
}

/* More clients than there are spare slots for them. */
static void many_clients_come_and_go_in_any_order(void **state)
{
	struct mapcache_client *clients[300];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 300; i++)
			assert_int_equal(mapcache_client_open(bed.cache, &clients[i]), 0);
		assert_int_equal(bed_stats(&bed).clients, 302);
		for (unsigned int i = 0; i < 300; i++)
			assert_int_equal(bed_read(clients[i], i * BED_PAGE), bed_value(i));
		for (unsigned int i = 0; i < 300; i++)
			assert_int_equal(mapcache_client_close(clients[i * 7 % 300]), 0);
		assert_int_equal(bed_stats(&bed).clients, 2);
	}
	bed_stop(&bed);
}

static void what_a_client_counted_stays_counted(void **state)
{
	struct mapcache_stats before, after;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.other, 0);
	before = bed_stats(&bed);
	assert_int_equal(before.misses, 1);
	assert_int_equal(mapcache_client_close(bed.other), 0);
	bed.other = NULL;
	after = bed_stats(&bed);
	assert_int_equal(after.misses, 1);
	assert_int_equal(after.map_calls, 1);
	assert_int_equal(after.pages_mapped, 256);
	bed_stop(&bed);
}

static void a_cache_with_clients_or_pins_is_not_closed(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	assert_int_equal(mapcache_close(bed.cache), -EBUSY);
	pointer = bed_pin(bed.client, 0);
	assert_int_equal(mapcache_client_close(bed.client), 0);
	assert_int_equal(mapcache_close(bed.cache), -EBUSY);
	assert_int_equal(mapcache_client_close(bed.other), 0);
	bed.client = bed.other = NULL;
	assert_int_equal(mapcache_close(bed.cache), -EBUSY);
	assert_int_equal(*pointer, bed_value(0));
	/* Nothing was done: it still works. */
	assert_int_equal(mapcache_client_open(bed.cache, &bed.client), 0);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	bed_stop(&bed);
}

static void close_unmaps_everything(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (uint64_t gfn = 0; gfn < 1024; gfn += 100)
		bed_read(bed.client, gfn * BED_PAGE);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 0);
	assert_true(bed_totals().foreign_mappings > 1);
	assert_int_equal(mapcache_client_close(bed.client), 0);
	assert_int_equal(mapcache_client_close(bed.other), 0);
	bed.client = bed.other = NULL;
	rig_close(&bed.rig);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(bed_totals().handles_open, 0);
	bed_stop(&bed);
}

static void several_caches_of_one_guest_live_beside_each_other(void **state)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = RIG_BUCKET_SHIFT,
					    .max_bytes = 8 * BED_BUCKET };
	struct mapcache_client *clients[20];
	struct mapcache *caches[20];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	options.domid = bed.rig.domid;
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(mapcache_open(&options, &caches[i]), 0);
		assert_int_equal(mapcache_client_open(caches[i], &clients[i]), 0);
		assert_int_equal(bed_read(clients[i], 0), bed_value(0));
	}
	bed_exchange(&bed, 0, 1);
	for (unsigned int i = 0; i < 20; i += 2)
		mapcache_invalidate(caches[i]);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(bed_read(clients[i], 0), i % 2 ? bed_value(0) : 1);
		assert_int_equal(mapcache_epoch(caches[i]), i % 2 ? 1 : 2);
		assert_int_equal(mapcache_client_close(clients[i]), 0);
		assert_int_equal(mapcache_close(caches[i]), 0);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_nest_and_the_outermost_end_counts),
		cmocka_unit_test(sections_nest_without_membarrier),
		cmocka_unit_test(an_end_too_many_harms_nothing),
		cmocka_unit_test(without_membarrier_sections_hold_what_they_use),
		cmocka_unit_test(without_membarrier_threads_see_what_they_should),
		cmocka_unit_test(many_clients_come_and_go_in_any_order),
		cmocka_unit_test(what_a_client_counted_stays_counted),
		cmocka_unit_test(a_cache_with_clients_or_pins_is_not_closed),
		cmocka_unit_test(close_unmaps_everything),
		cmocka_unit_test(several_caches_of_one_guest_live_beside_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
