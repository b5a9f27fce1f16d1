/* SPDX-License-Identifier: MIT */
/* Room: the byte budget, who is evicted and who is not, spare slots, kernel mappings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/index/index.h>
#include <tests/support/bed.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>

#define SHIFT 16
#define BUCKET (UINT64_C(1) << SHIFT)
#define BUCKETS 64u /* of the guest */

static void start(struct bed *bed, uint64_t slots, struct spy *spy)
{
	struct rig_options options = { .ram_pages = BUCKETS * 16,
				       .cache = { .bucket_shift = SHIFT,
						  .stripes = 1,
						  .max_bytes = slots << SHIFT,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD } };

	if (spy) {
		options.cache.backend = &spy_backend;
		options.cache.backend_data = spy;
	}
	bed_start(bed, &options);
}

static uint64_t value_of(uint64_t bucket)
{
	return bed_value(bucket * 16);
}

static void the_budget_of_bytes_is_kept(void **state)
{
	struct bed bed;

	(void)state;
	for (uint64_t slots = 4; slots <= 32; slots *= 2) {
		start(&bed, slots, NULL);
		for (uint64_t i = 0; i < 4 * BUCKETS; i++) {
			assert_int_equal(bed_read(bed.client, i * 5 % BUCKETS << SHIFT),
					 value_of(i * 5 % BUCKETS));
			/* The clients' own slots are beside the budget: two of them here. */
			assert_in_range(bed_stats(&bed).mapped_bytes, BUCKET, (slots + 2) << SHIFT);
			assert_in_range(bed_stats(&bed).slots_used, 1, slots);
			assert_in_range(bed_totals().foreign_pages, 16, (slots + 2) * 16);
		}
		assert_true(bed_stats(&bed).evictions >= BUCKETS);
		bed_stop(&bed);
	}
}

/* Stale ones count: an invalidation makes no room. */
static void the_budget_counts_what_is_stale(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 8, NULL);
	for (uint64_t i = 0; i < 2 * BUCKETS; i++) {
		if (i % 8 == 0)
			mapcache_invalidate(bed.cache);
		assert_int_equal(bed_error(bed.client, i % BUCKETS << SHIFT, BUCKET, PROT_READ), 0);
		assert_int_equal(bed_read(bed.client, i % BUCKETS << SHIFT), value_of(i % BUCKETS));
		assert_in_range(bed_totals().foreign_pages, 16, 10 * 16);
	}
	bed_stop(&bed);
}

/* What is kept free costs one part in twenty at most. */
static void a_twentieth_more_than_the_guest_evicts_nothing(void **state)
{
	static const uint64_t sizes[] = { 48, 256, 1024 };
	struct bed bed;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t pages = sizes[i];

		bed_start(&bed, &(struct rig_options){
					.ram_pages = pages,
					.cache = { .bucket_shift = 12,
						   .max_bytes = pages * 105 / 100 << 12,
						   .flags = MAPCACHE_NO_RECLAIM_THREAD } });
		for (uint64_t round = 0; round < 4; round++) {
			for (uint64_t gfn = 0; gfn < pages; gfn++)
				assert_int_equal(bed_read(bed.client, gfn * BED_PAGE),
						 bed_value(gfn));
			if (round == 1)
				mapcache_invalidate(bed.cache);
		}
		assert_int_equal(bed_stats(&bed).evictions, 0);
		assert_int_equal(bed_stats(&bed).buckets, pages);
		bed_stop(&bed);
	}
}

/* ---- who goes ------------------------------------------------------------------------------- */

struct calls {
	uint64_t of[BUCKETS];
};

static int count_map_calls(struct spy *spy, const struct spy_call *call)
{
	struct calls *calls = spy->data;

	if (call->map && call->gfn / 16 < BUCKETS)
		calls->of[call->gfn / 16]++;
	return 0;
}

/* Hits write nothing, so it must be found out in another way that it is in use. */
static void what_is_used_all_the_time_stays_while_others_pass_through(void **state)
{
	struct calls calls = { { 0 } };
	struct spy spy = { .before = count_map_calls, .data = &calls };
	struct bed bed;

	(void)state;
	start(&bed, 16, &spy);
	for (uint64_t i = 0; i < 600; i++) {
		uint64_t cold = 4 + i % (BUCKETS - 4);

		for (uint64_t hot = 0; hot < 4; hot++)
			assert_int_equal(bed_read(bed.client, hot << SHIFT), value_of(hot));
		assert_int_equal(bed_read(bed.client, cold << SHIFT), value_of(cold));
	}
	/* Nothing tells that they are in use but their being asked for while on probation. */
	for (uint64_t hot = 0; hot < 4; hot++) {
		assert_in_range(calls.of[hot], 1, 4);
	}
	for (uint64_t cold = 4; cold < BUCKETS; cold++)
		assert_in_range(calls.of[cold], 9, 11);
	assert_true(bed_stats(&bed).rescues > 0);
	bed_stop(&bed);
}

static void the_least_recently_mapped_goes_first(void **state)
{
	struct calls calls = { { 0 } };
	struct spy spy = { .before = count_map_calls, .data = &calls };
	struct bed bed;

	(void)state;
	start(&bed, 16, &spy);
	for (uint64_t bucket = 0; bucket < 20; bucket++)
		bed_read(bed.client, bucket << SHIFT);
	/* The last ones are there still, backwards so that nothing is pushed out before it. */
	for (uint64_t bucket = 19; bucket >= 12; bucket--)
		bed_read(bed.client, bucket << SHIFT);
	for (uint64_t bucket = 12; bucket < 20; bucket++)
		assert_int_equal(calls.of[bucket], 1);
	bed_read(bed.client, 0);
	assert_int_equal(calls.of[0], 2);
	bed_stop(&bed);
}

static void what_is_pinned_is_not_evicted(void **state)
{
	struct calls calls = { { 0 } };
	struct spy spy = { .before = count_map_calls, .data = &calls };
	volatile uint64_t *pins[4];
	struct bed bed;

	(void)state;
	start(&bed, 12, &spy);
	for (uint64_t bucket = 0; bucket < 4; bucket++)
		pins[bucket] = bed_pin(bed.client, bucket << SHIFT);
	for (uint64_t i = 0; i < 4 * BUCKETS; i++) {
		uint64_t cold = 4 + i % (BUCKETS - 4);

		assert_int_equal(bed_read(bed.client, cold << SHIFT), value_of(cold));
	}
	for (uint64_t bucket = 0; bucket < 4; bucket++) {
		/* Still the bucket's one and only mapping: others get the same. */
		mapcache_begin(bed.other);
		assert_ptr_equal(bed_ptr(bed.other, bucket << SHIFT, PROT_READ), pins[bucket]);
		assert_int_equal(mapcache_end(bed.other), 0);
		assert_int_equal(calls.of[bucket], 1);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[bucket], 0), 0);
	}
	bed_stop(&bed);
}

static void what_is_being_mapped_is_not_evicted(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct peer peer;
	struct bed bed;

	(void)state;
	start(&bed, 8, NULL);
	peer_open(&peer, bed.cache);
	xensim_hang(bed.domain, 3);
	peer_start(&peer, peer_read, &look);
	while (!xensim_hanging())
		sched_yield();
	for (uint64_t bucket = 1; bucket < BUCKETS; bucket++) {
		/* Its section keeps every slot that is evicted: room may run out. */
		int error = bed_error(bed.client, bucket << SHIFT, 8, PROT_READ);

		assert_true(error == 0 || error == EAGAIN);
	}
	xensim_unhang();
	assert_int_equal(peer_wait(&peer), 0);
	assert_int_equal(look.value, value_of(0));
	peer_close(&peer);
	bed_stop(&bed);
}

/* ---- where there is none -------------------------------------------------------------------- */

static void a_budget_all_pinned_is_used_again_after_the_unpins(void **state)
{
	volatile uint64_t *pins[4 + ARENA_SPARES + 1];
	unsigned int pinned;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 12,
							  .max_bytes = 4 << 12,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int round = 0; round < 3; round++) {
		for (pinned = 0; pinned <= 4 + ARENA_SPARES; pinned++) {
			size_t len = 8;

			pins[pinned] =
				mapcache_pin(bed.client, pinned * BED_PAGE, &len, PROT_READ, 0);
			if (!pins[pinned])
				break;
		}
		assert_true(errno == ENOMEM || errno == EAGAIN);
		assert_in_range(pinned, 4, 4 + ARENA_SPARES);
		while (pinned-- > 0)
			assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[pinned], 0), 0);
		for (uint64_t gfn = 0; gfn < 1024; gfn += 10)
			assert_int_equal(bed_read(bed.other, gfn * BED_PAGE), bed_value(gfn));
	}
	bed_stop(&bed);
}

/* Every slot is held by the other client's section; this one's begins. */
static void hold_all(struct bed *bed)
{
	mapcache_begin(bed->other);
	for (uint64_t bucket = 0; bucket < 16; bucket++)
		(void)!mapcache_ptr(bed->other, bucket << SHIFT, 8, PROT_READ);
	mapcache_begin(bed->client);
}

/* What a thread that looks for room does not see: it is kept from running. */
static struct {
	struct bed *bed;    /* NULL: no more */
	unsigned int round; /* after this many looks */
	uint64_t late;      /* ns */
} kept_from_running;

void __wrap_retired_check_pins(struct mapcache *cache);
void __real_retired_check_pins(struct mapcache *cache);
uint64_t __wrap_clock_ns(void);
uint64_t __real_clock_ns(void);

uint64_t __wrap_clock_ns(void)
{
	return __real_clock_ns() + kept_from_running.late;
}

void __wrap_retired_check_pins(struct mapcache *cache)
{
	struct bed *bed = kept_from_running.bed;

	if (bed && kept_from_running.round-- == 0) {
		kept_from_running.bed = NULL;
		assert_int_equal(mapcache_end(bed->other), 0);
		assert_int_equal(bed_reclaim(bed), 0);
		kept_from_running.late = 1000 * NS_PER_MS;
	}
	__real_retired_check_pins(cache);
}

static void what_was_freed_while_one_did_not_run_is_room(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, 4, NULL);
	hold_all(&bed);
	(void)bed_ptr(bed.client, 40 << SHIFT, PROT_READ);
	/* The first look begins the time that is waited. */
	kept_from_running.bed = &bed;
	kept_from_running.round = 1;
	assert_int_equal(*bed_ptr(bed.client, 41 << SHIFT, PROT_READ), value_of(41));
	assert_null(kept_from_running.bed);
	kept_from_running.late = 0;
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

/* The client's own slot: for one section, never in the index, never found by others. */
static void a_spare_slot_serves_its_own_client_only(void **state)
{
	volatile uint64_t *spare, *others;
	struct bed bed;

	(void)state;
	start(&bed, 4, NULL);
	hold_all(&bed);
	spare = bed_ptr(bed.client, 40 << SHIFT, PROT_READ | PROT_WRITE);
	assert_int_equal(*spare, value_of(40));
	*spare = 1;
	assert_int_equal(bed_guest(&bed, 40 << SHIFT), 1);
	assert_in_range(arena_slot(bed.cache, (const void *)spare), 0, ARENA_SPARES - 1);
	/* Once in a section. */
	assert_null(mapcache_ptr(bed.client, 41 << SHIFT, 8, PROT_READ));
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(mapcache_end(bed.other), 0);
	mapcache_begin(bed.other);
	others = mapcache_ptr(bed.other, 40 << SHIFT, 8, PROT_READ);
	assert_ptr_not_equal(others, spare);
	assert_int_equal(mapcache_end(bed.other), 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

/* A page that can only be read: the attempt to map it for writing fails, and does not use it up. */
static void a_spare_slot_serves_what_can_only_be_read(void **state)
{
	volatile uint64_t *spare;
	struct bed bed;

	(void)state;
	start(&bed, 4, NULL);
	assert_true(xensim_p2m_set_type(bed.domain, 40 * 16, 1, XENSIM_DENIED) >= 0);
	hold_all(&bed);
	assert_null(mapcache_ptr(bed.client, 40 << SHIFT, 8, PROT_READ | PROT_WRITE));
	spare = bed_ptr(bed.client, 40 << SHIFT, PROT_READ);
	assert_int_equal(*spare, value_of(40));
	assert_in_range(arena_slot(bed.cache, (const void *)spare), 0, ARENA_SPARES - 1);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.other), 0);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

static void a_pin_of_a_spare_slot_is_a_pin_like_any_other(void **state)
{
	volatile uint64_t *pin;
	struct bed bed;
	uint64_t gpa;

	(void)state;
	start(&bed, 4, NULL);
	hold_all(&bed);
	pin = bed_pin(bed.client, 40 << SHIFT);
	assert_in_range(arena_slot(bed.cache, (const void *)pin), 0, ARENA_SPARES - 1);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_end(bed.other), 0);
	bed_exchange(&bed, 40 * 16, 7);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	/* Many sections later, other buckets in need of that slot, and its client gone. */
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
		uint64_t value = bucket == 40 ? 7 : value_of(bucket);

		assert_int_equal(bed_read(bed.client, bucket << SHIFT), value);
	}
	assert_int_equal(mapcache_client_close(bed.client), 0);
	bed.client = NULL;
	bed_reclaim(&bed);
	assert_int_equal(*pin, value_of(40));
	assert_int_equal(mapcache_gpa(bed.cache, (const void *)pin, &gpa), 0);
	assert_int_equal(gpa, 40 << SHIFT);
	assert_int_equal(mapcache_drain(bed.cache, 2, 0, MAPCACHE_DRAIN_PINS), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pin, 0), 0);
	assert_int_equal(mapcache_drain(bed.cache, 2, 0, MAPCACHE_DRAIN_PINS), 0);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(bed_totals().pages_held, 0);
	bed_stop(&bed);
}

/* ---- the kernel's mappings -------------------------------------------------------------------- */

static void past_the_budget_of_kernel_mappings_others_go_first(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 4096,
					       .cache = { .bucket_shift = 12,
							  .max_vmas = 64,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (uint64_t i = 0; i < 2000; i++) {
		uint64_t gfn = i * 3 % 4096;

		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
		assert_in_range(bed_stats(&bed).vmas, 1, 66 + 16);
	}
	assert_true(bed_stats(&bed).evictions > 1000);
	bed_stop(&bed);
}

/* ---- slots that cannot be emptied ------------------------------------------------------------ */

static int fail_unmaps(struct spy *spy, const struct spy_call *call)
{
	return spy->data && !call->map ? -EIO : 0;
}

static void slots_that_cannot_be_emptied_are_kept_for_later(void **state)
{
	struct spy spy = { .before = fail_unmaps };
	struct bed bed;

	(void)state;
	start(&bed, 8, &spy);
	for (unsigned int round = 0; round < 3; round++) {
		for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
			spy.data = bucket % 3 ? &bed : NULL;
			if (bucket % 5 == 0)
				mapcache_invalidate(bed.cache);
			if (bucket % 4 == 0)
				assert_true(xensim_p2m_set_type(bed.domain, bucket * 16 + 3, 1,
								XENSIM_DENIED) >= 0);
			/* Mapping over what is there needs no unmap. */
			(void)bed_error(bed.client, bucket << SHIFT, 3 * 4096, PROT_READ);
			(void)bed_error(bed.client, (bucket << SHIFT) + 3 * 4096, 8, PROT_READ);
			if (bucket % 7 == 0)
				mapcache_reclaim(bed.cache, UINT64_MAX);
		}
	}
	assert_true(bed_stats(&bed).unmap_errors > 0);
	spy.data = NULL;
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		assert_int_equal(bed_read(bed.client, bucket << SHIFT), value_of(bucket));
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_stats(&bed).slots_used, 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_budget_of_bytes_is_kept),
		cmocka_unit_test(the_budget_counts_what_is_stale),
		cmocka_unit_test(a_twentieth_more_than_the_guest_evicts_nothing),
		cmocka_unit_test(what_is_used_all_the_time_stays_while_others_pass_through),
		cmocka_unit_test(the_least_recently_mapped_goes_first),
		cmocka_unit_test(what_is_pinned_is_not_evicted),
		cmocka_unit_test(what_is_being_mapped_is_not_evicted),
		cmocka_unit_test(a_budget_all_pinned_is_used_again_after_the_unpins),
		cmocka_unit_test(what_was_freed_while_one_did_not_run_is_room),
		cmocka_unit_test(a_spare_slot_serves_its_own_client_only),
		cmocka_unit_test(a_spare_slot_serves_what_can_only_be_read),
		cmocka_unit_test(a_pin_of_a_spare_slot_is_a_pin_like_any_other),
		cmocka_unit_test(past_the_budget_of_kernel_mappings_others_go_first),
		cmocka_unit_test(slots_that_cannot_be_emptied_are_kept_for_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
