/* SPDX-License-Identifier: MIT */
/* Notification of what is mapped, translation of the embedder's addresses, and the off switch. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/locks.h>

/* ---- notification --------------------------------------------------------------------- */

#define AREAS 4096u

/* What shows guest memory, as far as we were told. */
struct ledger {
	struct mapcache *cache; /* whose locks are looked at; NULL: not yet */
	pthread_mutex_t lock;
	struct {
		char *address;
		uint64_t gpa, len;
	} area[AREAS];
	unsigned int count;
	uint64_t added, going, unknown, overlaps, locked;
};

static void ledger_remove(struct ledger *ledger, uint64_t gpa, char *address, uint64_t len)
{
	for (unsigned int i = 0; i < ledger->count; i++) {
		char *start = ledger->area[i].address;

		if (address < start || address + len > start + ledger->area[i].len)
			continue;
		ledger->unknown += gpa - ledger->area[i].gpa != (uint64_t)(address - start);
		/* A part of it may stay at either end. */
		if (address > start && ledger->count < AREAS) {
			ledger->area[ledger->count] = ledger->area[i];
			ledger->area[ledger->count++].len = (uint64_t)(address - start);
		}
		ledger->area[i].len -= (uint64_t)(address + len - start);
		ledger->area[i].gpa = gpa + len;
		ledger->area[i].address = address + len;
		if (ledger->area[i].len == 0)
			ledger->area[i] = ledger->area[--ledger->count];
		return;
	}
	ledger->unknown++;
}

static void ledger_add(struct ledger *ledger, uint64_t gpa, char *address, uint64_t len)
{
	for (unsigned int i = 0; i < ledger->count; i++) {
		char *start = ledger->area[i].address;

		ledger->overlaps += address < start + ledger->area[i].len && start < address + len;
	}
	if (ledger->count == AREAS)
		return;
	ledger->area[ledger->count].address = address;
	ledger->area[ledger->count].gpa = gpa;
	ledger->area[ledger->count++].len = len;
}

static void ledger_told(void *data, enum mapcache_event event, uint64_t gpa, void *address,
			uint64_t len)
{
	struct ledger *ledger = data;

	pthread_mutex_lock(&ledger->lock);
	if (ledger->cache)
		ledger->locked += locks_held(ledger->cache) != 0;
	if (event == MAPCACHE_EVENT_ADDED) {
		ledger->added++;
		ledger_add(ledger, gpa, address, len);
	} else {
		ledger->going++;
		/* It can still be read. */
		(void)*(volatile char *)address;
		for (uint64_t done = 0; done < len;) {
			/* One event may cover several that were added. */
			uint64_t part = len - done;

			for (unsigned int i = 0; i < ledger->count; i++) {
				char *start = ledger->area[i].address;
				char *at = (char *)address + done;

				if (at >= start && at < start + ledger->area[i].len &&
				    part > (uint64_t)(start + ledger->area[i].len - at))
					part = (uint64_t)(start + ledger->area[i].len - at);
			}
			ledger_remove(ledger, gpa + done, (char *)address + done, part);
			done += part;
		}
	}
	pthread_mutex_unlock(&ledger->lock);
}

static void open_ledger(struct bed *bed, struct ledger *ledger, uint64_t max_bytes)
{
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .max_bytes = max_bytes,
						  .notify = ledger_told,
						  .notify_data = ledger },
				       .ram_pages = 24 * 256 };

	*ledger = (struct ledger){ .lock = PTHREAD_MUTEX_INITIALIZER };
	bed_start(bed, &options);
	ledger->cache = bed->cache;
}

static void close_ledger(struct bed *bed, struct ledger *ledger)
{
	ledger->cache = NULL;
	bed_stop(bed);
	assert_int_equal(ledger->locked, 0);
	assert_int_equal(ledger->unknown, 0);
	assert_int_equal(ledger->overlaps, 0);
	assert_int_equal(ledger->count, 0);
}

static void a_mapping_is_told_when_it_comes_and_before_it_goes(void **state)
{
	struct ledger ledger;
	struct bed bed;

	(void)state;
	open_ledger(&bed, &ledger, 0);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	assert_int_equal(ledger.added, 1);
	assert_int_equal(ledger.area[0].gpa, BED_BUCKET);
	assert_int_equal(ledger.area[0].len, BED_BUCKET);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	assert_int_equal(ledger.added, 1);
	mapcache_invalidate(bed.cache);
	assert_int_equal(ledger.going, 0);
	bed_reclaim(&bed);
	assert_int_equal(ledger.going, 1);
	assert_int_equal(ledger.count, 0);
	close_ledger(&bed, &ledger);
}

static void every_way_to_map_and_to_unmap_is_told(void **state)
{
	size_t len = BED_BUCKET;
	struct ledger ledger;
	struct bed bed;
	void *pointer;

	(void)state;
	open_ledger(&bed, &ledger, 12 * BED_BUCKET);
	/* Evictions, refreshes in place and in fresh slots, dense buckets. */
	for (uint64_t round = 0; round < 40; round++) {
		for (uint64_t i = 0; i < 24; i++)
			assert_int_equal(bed_read(bed.client, (i * 5 % 24) * BED_BUCKET),
					 bed_value((i * 5 % 24) * 256));
		mapcache_invalidate(bed.cache);
		for (uint64_t i = 0; i < (round % 4 ? 3 : 256); i += 2)
			assert_int_equal(bed_read(bed.client, i * BED_PAGE), bed_value(i));
		if (round % 3 == 0)
			bed_reclaim(&bed);
	}
	pointer =
		mapcache_pin(bed.client, BED_BUCKET / 2, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
	assert_non_null(pointer);
	assert_int_equal(mapcache_unpin(bed.cache, pointer, 0), 0);
	pointer = mapcache_pin(bed.client, 0, &len, PROT_READ, MAPCACHE_PIN_OWN_MAPPING);
	assert_non_null(pointer);
	assert_int_equal(mapcache_replace(bed.cache, 0, 3 * BED_BUCKET, BED_BUCKET), 1);
	assert_int_equal(mapcache_unpin(bed.cache, pointer, 0), 0);
	assert_in_range(ledger.added, 100, AREAS * 10);
	close_ledger(&bed, &ledger);
}

/* ---- translation ------------------------------------------------------------------------ */

#define FAR (UINT64_C(1) << (sizeof(void *) == 4 ? 34 : 40))

/* What the embedder calls FAR + 1 MiB is the guest's first bucket; all else is as it is, and
 * FAR itself is nothing. */
static int translate(void *data, uint64_t address, uint64_t len, uint64_t *gpa)
{
	uint64_t *calls = data;

	(void)len;
	++*calls;
	if (address >= FAR && address < FAR + BED_BUCKET)
		return -ENXIO;
	*gpa = address >= FAR ? address - FAR - BED_BUCKET : address;
	return 0;
}

static void the_embedders_addresses_are_translated_when_mapped(void **state)
{
	uint64_t calls = 0, before, gpa;
	struct rig_options options = { .cache = { .translate = translate,
						  .translate_data = &calls,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD } };
	volatile uint64_t *pointer;
	size_t len = BED_BUCKET;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	assert_int_equal(bed_read(bed.client, FAR + BED_BUCKET + 7 * BED_PAGE), bed_value(7));
	before = calls;
	assert_int_equal(bed_read(bed.client, FAR + BED_BUCKET + 8 * BED_PAGE), bed_value(8));
	assert_int_equal(calls, before);
	assert_int_equal(bed_read(bed.client, 300 * BED_PAGE), bed_value(300));
	assert_int_equal(bed_error(bed.client, FAR + 5, 8, PROT_READ), ENXIO);
	pointer = mapcache_pin(bed.client, FAR + BED_BUCKET + BED_PAGE, &len, PROT_WRITE,
			       MAPCACHE_PIN_CONTIGUOUS);
	assert_non_null(pointer);
	assert_int_equal(*pointer, bed_value(1));
	assert_int_equal(mapcache_gpa(bed.cache, (void *)pointer, &gpa), 0);
	assert_int_equal(gpa, FAR + BED_BUCKET + BED_PAGE);
	/* What is reported is the guest's. */
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, BED_PAGE), 0);
	assert_true(xensim_dirty(bed.domain, 1));
	assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	bed_stop(&bed);
}

/* ---- the off switch --------------------------------------------------------------------- */

#define RANGE(from, bytes)                                                                         \
	&(const struct mapcache_range)                                                             \
	{                                                                                          \
		.gpa = (from), .len = (bytes)                                                      \
	}

static void the_off_switch_maps_the_whole_guest_in_large_calls(void **state)
{
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .whole = RANGE(0, 48 * BED_BUCKET),
						  .whole_count = 1 },
				       .ram_pages = 40 * 256 };
	uint64_t calls;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	calls = bed_totals().map_calls;
	assert_int_equal(calls, 3);
	for (uint64_t gfn = 0; gfn < 40 * 256; gfn++)
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
	assert_int_equal(bed_totals().map_calls, calls);
	/* An invalidation counts here, too (A). */
	bed_exchange(&bed, 300, 1);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_read(bed.client, 300 * BED_PAGE), 1);
	bed_stop(&bed);
}

static void the_off_switch_leaves_holes_to_those_who_ask(void **state)
{
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .whole = RANGE(0, 64 * BED_BUCKET),
						  .whole_count = 1,
						  .bucket_shift = 20 },
				       .ram_pages = 5 * 256 + 3 };
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	assert_int_equal(bed_stats(&bed).buckets, 6);
	assert_int_equal(bed_read(bed.client, 5 * BED_BUCKET), bed_value(5 * 256));
	assert_int_equal(bed_error(bed.client, 5 * BED_BUCKET + 3 * BED_PAGE, 8, PROT_READ),
			 EFAULT);
	assert_int_equal(bed_error(bed.client, 63 * BED_BUCKET, 8, PROT_READ), EFAULT);
	bed_stop(&bed);
}

/* As Arm guests have it, with a bank above 4 GiB; ranges need not begin where buckets do. */
static void the_off_switch_maps_ram_wherever_it_is(void **state)
{
	const struct mapcache_range ram[] = {
		{ UINT64_C(1) << 30, 20 * BED_BUCKET },
		{ (UINT64_C(1) << 30) + 19 * BED_BUCKET, BED_BUCKET }, /* once more */
		{ (UINT64_C(8) << 30) + 3 * BED_PAGE, BED_PAGE },
	};
	const uint64_t base = ram[0].gpa / BED_PAGE, high = UINT64_C(8) << 18;
	struct mapcache_options options = { .size = sizeof(options),
					    .flags = MAPCACHE_NO_RECLAIM_THREAD,
					    .whole = ram,
					    .whole_count = 3 };
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct xensim_domain *domain;
	struct mapcache_client *client;
	struct mapcache *cache;
	uint64_t calls, value;

	(void)state;
	assert_int_equal(xensim_start(&(struct xensim_options){ .arch = XENSIM_ARM }), 0);
	assert_int_equal(xensim_domain_create(1, base, 20 * 256, &domain), 0);
	assert_int_equal(xensim_outside_populate(domain, &high, 1, 9), 1);
	for (uint64_t gfn = base; gfn < base + 20 * 256; gfn++) {
		value = bed_value(gfn);
		assert_int_equal(xensim_guest_write(domain, gfn * BED_PAGE, &value, 8), 0);
	}
	options.domid = xensim_domid(domain);
	assert_int_equal(mapcache_open(&options, &cache), 0);
	assert_int_equal(mapcache_client_open(cache, &client), 0);
	assert_int_equal(mapcache_stats(cache, &stats), 0);
	assert_int_equal(stats.map_calls, 3); /* 16 and 4 MiB of RAM, and the page's bucket */
	calls = bed_totals().map_calls;
	for (uint64_t gfn = base; gfn < base + 20 * 256; gfn++)
		assert_int_equal(bed_read(client, gfn * BED_PAGE), bed_value(gfn));
	(void)bed_read(client, high * BED_PAGE);
	assert_int_equal(bed_totals().map_calls, calls);
	assert_int_equal(mapcache_client_close(client), 0);
	assert_int_equal(mapcache_close(cache), 0);
	assert_int_equal(xensim_domain_destroy(domain), 0);
	assert_int_equal(xensim_stop(stderr), 0);
}

static void an_off_switch_that_cannot_be_is_refused(void **state)
{
	const struct mapcache_range none = { BED_BUCKET, 0 }, past = { 0, UINT64_C(1) << 53 };
	const struct mapcache_range wraps = { 2 * BED_BUCKET, UINT64_MAX - BED_BUCKET };
	const struct mapcache_range much = { 0, UINT64_C(1) << 52 };
	const struct mapcache_range good = { BED_BUCKET, 3 * BED_BUCKET };
	const struct mapcache_range *bad[] = { &none, &past, &wraps, &much };
	struct mapcache_options options = { .size = sizeof(options), .whole_count = 1 };
	struct mapcache *cache;
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL);
	options.domid = rig.domid;
	assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		options.whole = bad[i];
		assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	}
	options.whole = &good;
	options.guest_limit = BED_BUCKET * 2;
	assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	options.guest_limit = 0;
	xensim_fail(XENSIM_CALL_MAP, 1, ENOMEM);
	assert_int_equal(mapcache_open(&options, &cache), -ENOMEM);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_is_told_when_it_comes_and_before_it_goes),
		cmocka_unit_test(every_way_to_map_and_to_unmap_is_told),
		cmocka_unit_test(the_embedders_addresses_are_translated_when_mapped),
		cmocka_unit_test(the_off_switch_maps_the_whole_guest_in_large_calls),
		cmocka_unit_test(the_off_switch_leaves_holes_to_those_who_ask),
		cmocka_unit_test(the_off_switch_maps_ram_wherever_it_is),
		cmocka_unit_test(an_off_switch_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
