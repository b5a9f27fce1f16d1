/* SPDX-License-Identifier: MIT */
/*
 * The log of modified pages in Xen's own (shadow operations, as a live migration uses them; Arm has
 * none): what is written is in it, and what Xen refuses takes nothing with it.
 */
#include "tests/xen/emulator.h"
#include "tests/xen/test.h"

#include <string.h>
#include <sys/mman.h>

#define GUEST_PAGES 2048u
#define LAST (GUEST_PAGES - 1)
#define PAGE UINT64_C(4096)

static struct emulator emulator;
static struct domain domain;
static struct mapcache_client *client;
static unsigned int failures;

static void failed(void *data, uint64_t gfn, uint64_t pages, int error)
{
	(void)data, (void)gfn, (void)pages, (void)error;
	failures++;
}

/* Xen's log since the last time, one bit a frame. */
static uint64_t seen[GUEST_PAGES / 64];

static void look(void)
{
	DECLARE_HYPERCALL_BUFFER(unsigned long, bitmap);
	xc_shadow_op_stats_t stats;

	bitmap = xc_hypercall_buffer_alloc_pages(domain.control, bitmap, 1);
	CHECK(bitmap);
	memset(bitmap, 0, PAGE);
	CHECK(xc_logdirty_control(domain.control, domain.id, XEN_DOMCTL_SHADOW_OP_CLEAN,
				  HYPERCALL_BUFFER(bitmap), GUEST_PAGES, 0, &stats) >= 0);
	memcpy(seen, bitmap, sizeof(seen));
	xc_hypercall_buffer_free_pages(domain.control, bitmap, 1);
}

static bool dirty(uint64_t gfn)
{
	return seen[gfn / 64] >> (gfn % 64) & 1;
}

/* The guest stays paused, so that all of the log is ours. */
static void start(void)
{
	const struct mapcache_options cache = { .size = sizeof(cache), .report_failed = failed };
	struct emulator_options options = { .cache = &cache };
	xen_pfn_t highest;

	domain_create(&domain, 1, GUEST_PAGES, 0);
	CHECK_EQUAL(xc_domain_maximum_gpfn(domain.control, (uint32_t)domain.id, &highest), 0);
	CHECK_EQUAL(highest, LAST);
	emulator_open(&emulator, &domain, &options);
	CHECK(xc_shadow_control(domain.control, domain.id, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY,
				NULL, 0) >= 0);
	CHECK_EQUAL(mapcache_dirty_log(emulator.cache, true), 0);
	CHECK_EQUAL(mapcache_client_open(emulator.cache, &client), 0);
	look();
}

static void finish(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	CHECK_EQUAL(mapcache_stats(emulator.cache, &stats), 0);
	CHECK_EQUAL(stats.modified_errors, 0);
	CHECK_EQUAL(failures, 0);
	CHECK_EQUAL(mapcache_client_close(client), 0);
	emulator_finish(&emulator);
}

static void write_word(uint64_t gfn)
{
	volatile uint32_t *word = mapcache_ptr(client, gfn * PAGE, 4, PROT_READ | PROT_WRITE);

	CHECK(word);
	*word = 1;
}

static void the_guests_last_frame_takes_nothing_with_it(void)
{
	static char page[8 * PAGE];
	struct mapcache_stats stats = { .size = sizeof(stats) };

	start();
	mapcache_begin(client);
	write_word(1000);
	write_word(LAST);
	write_word(1200);
	CHECK_EQUAL(mapcache_end(client), 0);
	look();
	CHECK(dirty(1000) && dirty(1200) && !dirty(1001));
	/* A fact about Xen: should it ever change, less is to be said about it. */
	CHECK(!dirty(LAST));
	CHECK_EQUAL(mapcache_write(client, (LAST - 7) * PAGE, page, sizeof(page)),
		    (long long)sizeof(page));
	look();
	for (uint64_t gfn = LAST - 7; gfn < LAST; gfn++)
		CHECK(dirty(gfn));
	CHECK_EQUAL(mapcache_stats(emulator.cache, &stats), 0);
	CHECK_EQUAL(stats.modified_refused, 2);
	finish();
}

static void pins_that_stay_are_in_the_log_without_being_given_up(void)
{
	size_t len = 2 * PAGE;
	char *ring;

	start();
	ring = mapcache_pin(client, 700 * PAGE, &len, PROT_READ | PROT_WRITE, 0);
	CHECK(ring && len == 2 * PAGE);
	ring[PAGE + 5] = 1;
	CHECK_EQUAL(mapcache_modified(client, ring + PAGE + 5, 1), 0);
	look();
	CHECK(dirty(701) && !dirty(700));
	ring[5] = 1;
	CHECK_EQUAL(mapcache_modified_pins(emulator.cache), 0);
	look();
	CHECK(dirty(700) && dirty(701));
	ring[6] = 1;
	CHECK_EQUAL(mapcache_dirty_log(emulator.cache, false), 0);
	look();
	CHECK(dirty(700));
	CHECK_EQUAL(mapcache_unpin(emulator.cache, ring, 0), 0);
	finish();
}

const struct test modified_tests[] = {
	TEST(the_guests_last_frame_takes_nothing_with_it),
	TEST(pins_that_stay_are_in_the_log_without_being_given_up),
};
const size_t modified_tests_count = sizeof(modified_tests) / sizeof(modified_tests[0]);
