/* SPDX-License-Identifier: MIT */
/*
 * The log of modified pages and what outlives a section: pins that stay, addresses that mean
 * another frame by now, reports that are on their way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>
#include <tests/support/peer.h>

#define GFN 9u
#define GPA (GFN * BED_PAGE)

static bool dirty(struct bed *bed, uint64_t gfn)
{
	return xensim_dirty(bed->domain, gfn);
}

static void start_logging(struct bed *bed)
{
	bed_start(bed, BED_QUIET);
	assert_int_equal(mapcache_dirty_log(bed->cache, true), 0);
}

static int modified(struct mapcache_client *client, volatile void *pointer, size_t len)
{
	return mapcache_modified(client, (const void *)(uintptr_t)pointer, len);
}

static void unpin(struct bed *bed, volatile void *pointer)
{
	assert_int_equal(mapcache_client_unpin(bed->client, (void *)(uintptr_t)pointer, 0), 0);
}

/* ---- pins that stay --------------------------------------------------------------------- */

static void what_is_written_through_a_pin_that_stays_is_reported_when_said(void **state)
{
	volatile uint64_t *ring;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	ring = bed_pin_range(bed.client, GPA, 2 * BED_PAGE, PROT_READ | PROT_WRITE, 0);
	assert_int_equal(modified(bed.client, ring, 8), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	assert_int_equal(modified(bed.client, bed_at(ring, BED_PAGE + 16), 8), 0);
	assert_true(dirty(&bed, GFN + 1));
	assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	/* It goes on to be the same frame when nobody else can find it any more. */
	xensim_dirty_clear(bed.domain);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	assert_int_equal(modified(bed.client, (volatile char *)ring + BED_PAGE - 4, 8), 0);
	assert_true(dirty(&bed, GFN) && dirty(&bed, GFN + 1));
	unpin(&bed, ring);
	bed_stop(&bed);
}

static void inside_a_section_it_is_gathered_with_the_rest(void **state)
{
	volatile uint64_t *ring;
	struct bed bed;

	(void)state;
	start_logging(&bed);
	ring = bed_pin(bed.client, GPA);
	mapcache_begin(bed.client);
	assert_int_equal(modified(bed.client, ring, 8), 0);
	*bed_ptr(bed.client, GPA + 5 * BED_PAGE, PROT_WRITE) = 1;
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 2);
	assert_int_equal(bed_stats(&bed).modified_calls, 1);
	unpin(&bed, ring);
	bed_stop(&bed);
}

static void what_no_pin_can_hold_is_refused(void **state)
{
	volatile uint64_t *pointer, *piece;
	struct bed bed;
	int own;

	(void)state;
	start_logging(&bed);
	pointer = bed_pin(bed.client, BED_BUCKET - 8);
	piece = bed_pin_range(bed.client, BED_BUCKET - 8, BED_PAGE + 16, PROT_WRITE,
			      MAPCACHE_PIN_CONTIGUOUS);
	assert_int_equal(modified(NULL, pointer, 8), -EINVAL);
	assert_int_equal(modified(bed.client, NULL, 8), -EINVAL);
	assert_int_equal(modified(bed.client, &own, 1), -EINVAL);
	assert_int_equal(modified(bed.client, pointer, 9), -E2BIG);
	assert_int_equal(modified(bed.client, pointer, SIZE_MAX), -E2BIG);
	assert_int_equal(modified(bed.client, pointer, 0), 0);
	assert_int_equal(modified(bed.client, piece, SIZE_MAX), -E2BIG);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	assert_int_equal(modified(bed.client, pointer, 8), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	assert_int_equal(modified(bed.client, piece, BED_PAGE + 16), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 3);
	assert_int_equal(mapcache_modified_pins(NULL), -EINVAL);
	unpin(&bed, pointer);
	unpin(&bed, piece);
	bed_stop(&bed);
}

/* Its granules: 4 pages from frame gfn on. */
static bool granule_dirty(struct bed *bed, uint64_t gfn)
{
	return dirty(bed, gfn) && dirty(bed, gfn + 1) && dirty(bed, gfn + 2) && dirty(bed, gfn + 3);
}

static void everything_pinned_for_writing_is_reported_for_the_last_pass(void **state)
{
	volatile uint64_t *stale, *fresh, *piece, *read_only;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = bed_pin(bed.client, 0);
	mapcache_invalidate(bed.cache);
	bed_reclaim(&bed);
	/* After an invalidation a bucket that was seen before is mapped by the granule. */
	fresh = bed_pin(bed.other, 20 * BED_PAGE);
	assert_int_equal(
		xensim_p2m_set_type(bed.domain, 3 * BED_BUCKET / BED_PAGE, 1, XENSIM_DENIED), 0);
	read_only = bed_pin_range(bed.client, 3 * BED_BUCKET, 8, PROT_READ, 0);
	piece = bed_pin_range(bed.client, 2 * BED_BUCKET - BED_PAGE, 2 * BED_PAGE, PROT_WRITE,
			      MAPCACHE_PIN_CONTIGUOUS);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	assert_int_equal(mapcache_modified_pins(bed.cache), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	assert_int_equal(mapcache_modified_pins(bed.cache), 0);
	assert_true(granule_dirty(&bed, 0));
	assert_true(granule_dirty(&bed, 20));
	assert_true(dirty(&bed, 511) && dirty(&bed, 512));
	/* Neither what nobody pins nor what follows a contiguous pin. */
	assert_false(dirty(&bed, 256) || dirty(&bed, 510) || dirty(&bed, 513));
	unpin(&bed, stale);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)fresh, 0), 0);
	unpin(&bed, piece);
	xensim_dirty_clear(bed.domain);
	assert_int_equal(mapcache_modified_pins(bed.cache), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	unpin(&bed, read_only);
	bed_stop(&bed);
}

/* More places than a section's list has: none is lost, none is joined with another. */
static void hundreds_of_places_that_are_pinned_are_reported_and_nothing_between(void **state)
{
	struct mapcache_range range[128];
	struct iovec iov[128];
	struct bed bed;

	(void)state;
	start_logging(&bed);
	for (uint64_t i = 0; i < 128; i++)
		range[i] = (struct mapcache_range){ 3 * i * BED_PAGE, 8 };
	assert_int_equal(mapcache_pin_sgl(bed.client, range, 128, PROT_READ | PROT_WRITE, iov, 128),
			 128);
	assert_int_equal(mapcache_modified_pins(bed.cache), 0);
	for (uint64_t i = 0; i < 128; i++)
		assert_true(dirty(&bed, 3 * i));
	assert_int_equal(xensim_dirty_pages(bed.domain), 128);
	assert_int_equal(mapcache_client_unpin_iov(bed.client, iov, 128, 0), 0);
	bed_stop(&bed);
}

static void the_end_of_the_log_reports_what_stays_pinned(void **state)
{
	volatile uint64_t *ring;
	struct bed bed;

	(void)state;
	start_logging(&bed);
	ring = bed_pin(bed.client, GPA);
	*ring = 1;
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	assert_true(dirty(&bed, GFN));
	xensim_dirty_clear(bed.domain);
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	unpin(&bed, ring);
	bed_stop(&bed);
}

/* ---- the frame that is shown -------------------------------------------------------------- */

/* The embedder's addresses: from base on. */
static uint64_t base;

static int translate(void *data, uint64_t address, uint64_t len, uint64_t *gpa)
{
	(void)data, (void)len;
	*gpa = address + base;
	return 0;
}

static void start_translating(struct bed *bed)
{
	base = 0;
	bed_start(bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							 .translate = translate } });
	assert_int_equal(mapcache_dirty_log(bed->cache, true), 0);
}

/* Addresses mean other frames from now on. */
static void move(struct bed *bed)
{
	base = 512 * BED_PAGE;
	assert_int_equal(mapcache_invalidate_range(bed->cache, 0, 2 * BED_BUCKET), 0);
}

static void a_pin_reports_the_frame_that_it_shows(void **state)
{
	volatile uint64_t *pointer, *piece;
	struct bed bed;

	(void)state;
	start_translating(&bed);
	pointer = bed_pin(bed.client, GPA);
	piece = bed_pin_range(bed.client, BED_BUCKET - BED_PAGE, 3 * BED_PAGE, PROT_WRITE,
			      MAPCACHE_PIN_CONTIGUOUS);
	move(&bed);
	assert_int_equal(modified(bed.client, pointer, 8), 0);
	assert_true(dirty(&bed, GFN));
	assert_int_equal(modified(bed.client, piece, 3 * BED_PAGE), 0);
	assert_true(dirty(&bed, 255) && dirty(&bed, 256) && dirty(&bed, 257));
	assert_int_equal(xensim_dirty_pages(bed.domain), 4);
	xensim_dirty_clear(bed.domain);
	assert_int_equal(mapcache_modified_pins(bed.cache), 0);
	assert_true(dirty(&bed, GFN) && dirty(&bed, 256));
	assert_false(dirty(&bed, 512 + GFN) || dirty(&bed, 512 + 256));
	/* Look-ups that begin now: the new ones. */
	xensim_dirty_clear(bed.domain);
	bed_write(bed.other, GPA, 1);
	assert_true(dirty(&bed, 512 + GFN) && !dirty(&bed, GFN));
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 8), 0);
	assert_true(dirty(&bed, GFN));
	assert_int_equal(mapcache_unpin(bed.cache, (void *)piece, 3 * BED_PAGE), 0);
	assert_true(dirty(&bed, 256));
	assert_int_equal(xensim_dirty_pages(bed.domain), 5);
	bed_stop(&bed);
}

static void a_section_reports_the_frame_that_it_saw(void **state)
{
	uint64_t word = 1;
	struct bed bed;

	(void)state;
	start_translating(&bed);
	mapcache_begin(bed.client);
	*bed_ptr(bed.client, GPA, PROT_WRITE) = 1;
	move(&bed);
	assert_int_equal(mapcache_write(bed.client, GPA, &word, 8), 8);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_true(dirty(&bed, GFN) && dirty(&bed, 512 + GFN));
	assert_int_equal(xensim_dirty_pages(bed.domain), 2);
	bed_stop(&bed);
}

/* After an invalidation a bucket is mapped granule by granule, and addresses may move between. */
static void each_part_of_a_bucket_reports_what_it_was_mapped_from(void **state)
{
	volatile uint64_t *before, *after;
	struct bed bed;

	(void)state;
	start_translating(&bed);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	mapcache_invalidate(bed.cache);
	before = bed_pin(bed.client, GPA);
	base = 512 * BED_PAGE;
	after = bed_pin(bed.client, GPA + 120 * BED_PAGE);
	assert_int_equal(*after, bed_value(512 + GFN + 120));
	assert_int_equal(modified(bed.client, before, 8), 0);
	assert_int_equal(modified(bed.client, after, 8), 0);
	assert_true(dirty(&bed, GFN) && dirty(&bed, 512 + GFN + 120));
	assert_int_equal(xensim_dirty_pages(bed.domain), 2);
	unpin(&bed, before);
	unpin(&bed, after);
	bed_stop(&bed);
}

/* Where a relocated pin begins in its address space, and where its frames do in their granules,
 * are not the same any more. */
static void a_relocated_pin_reports_the_frames_that_it_shows_then(void **state)
{
	volatile uint64_t *piece;
	struct bed bed;

	(void)state;
	start_translating(&bed);
	piece = bed_pin_range(bed.client, 10 * BED_PAGE, 9 * BED_PAGE, PROT_WRITE,
			      MAPCACHE_PIN_OWN_MAPPING);
	base = 512 * BED_PAGE;
	assert_int_equal(mapcache_replace(bed.cache, 10 * BED_PAGE, 31 * BED_PAGE, 9 * BED_PAGE),
			 1);
	/* What was written before goes to the log, too: at its end nobody would know it. */
	assert_true(dirty(&bed, 10) && dirty(&bed, 18) && !dirty(&bed, 9) && !dirty(&bed, 19));
	for (uint64_t page = 0; page < 9; page++) {
		xensim_dirty_clear(bed.domain);
		assert_int_equal(modified(bed.client, bed_at(piece, page * BED_PAGE), 8), 0);
		assert_int_equal(*bed_at(piece, page * BED_PAGE), bed_value(512 + 31 + page));
		assert_true(dirty(&bed, 512 + 31 + page));
		assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	}
	unpin(&bed, piece);
	bed_stop(&bed);
}

/* Neighbouring buckets of addresses are not neighbours in the guest. */
static int swap_buckets(void *data, uint64_t address, uint64_t len, uint64_t *gpa)
{
	(void)data, (void)len;
	*gpa = address ^ UINT64_C(1) << 16;
	return 0;
}

static void each_page_of_a_relocated_pin_reports_its_own_frame(void **state)
{
	struct rig_options options = { .cache = { .bucket_shift = 16,
						  .translate = swap_buckets,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD } };
	uint64_t old = 32 * BED_PAGE, new = 64 * BED_PAGE + 13 * BED_PAGE, pages = 24;
	volatile uint64_t *piece;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	piece = bed_pin_range(bed.client, old, pages * BED_PAGE, PROT_WRITE,
			      MAPCACHE_PIN_OWN_MAPPING);
	assert_int_equal(mapcache_replace(bed.cache, old, new, pages * BED_PAGE), 1);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	for (uint64_t page = 0; page < pages; page++) {
		uint64_t gfn = (new / BED_PAGE + page) ^ 16;

		xensim_dirty_clear(bed.domain);
		assert_int_equal(*bed_at(piece, page * BED_PAGE), bed_value(gfn));
		assert_int_equal(modified(bed.client, bed_at(piece, page * BED_PAGE), 8), 0);
		assert_true(dirty(&bed, gfn));
		assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	}
	unpin(&bed, piece);
	bed_stop(&bed);
}

/* ---- reports on their way ------------------------------------------------------------------ */

/* A backend whose report stands still until it is let go. */
static struct {
	struct flag came, go;
} hold;

static int held(void *state, const struct mapcache_extent *extents, size_t count)
{
	flag_set(&hold.came);
	flag_wait(&hold.go);
	return mapcache_backend_xen.modified(state, extents, count);
}

static void start_holding(struct bed *bed, struct peer *peer)
{
	static struct mapcache_backend backend;

	backend = mapcache_backend_xen;
	backend.modified = held;
	memset(&hold, 0, sizeof(hold));
	bed_start(bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							 .backend = &backend } });
	assert_int_equal(mapcache_dirty_log(bed->cache, true), 0);
	peer_open(peer, bed->cache);
}

static int write_in_a_section(struct peer *peer, void *data)
{
	(void)data;
	bed_write(peer->client, GPA, 1);
	return 0;
}

static int write_two_buckets(struct peer *peer, void *data)
{
	static char buffer[2 * 4096];

	(void)data;
	return mapcache_write(peer->client, BED_BUCKET - BED_PAGE, buffer, sizeof(buffer)) !=
	       sizeof(buffer);
}

static int say_modified(struct peer *peer, void *data)
{
	return mapcache_modified(peer->client, data, 8);
}

static int give_up_written(struct peer *peer, void *data)
{
	return mapcache_unpin(peer->cache, data, 8);
}

/* F: whatever reports, nobody is told that all is over before it is. */
static void check_waits(peer_job job, bool pinned)
{
	void *pointer = NULL;
	struct peer peer;
	struct bed bed;
	uint64_t epoch;

	start_holding(&bed, &peer);
	if (pinned)
		pointer = (void *)(uintptr_t)bed_pin(bed.client, GPA);
	peer_start(&peer, job, pointer);
	flag_wait(&hold.came);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 5, 0), -ETIMEDOUT);
	if (!pinned) {
		assert_int_equal(mapcache_drain(bed.cache, epoch, 5, MAPCACHE_DRAIN_PINS),
				 -ETIMEDOUT);
		assert_int_equal(mapcache_dirty_log_wait(bed.cache, false, 5), -ETIMEDOUT);
		assert_int_equal(mapcache_dirty_log_wait(bed.cache, false, 0), -ETIMEDOUT);
	}
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	flag_set(&hold.go);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), 0);
	assert_true(xensim_dirty_pages(bed.domain) > 0);
	assert_int_equal(mapcache_dirty_log_wait(bed.cache, false, -1), 0);
	assert_int_equal(peer_wait(&peer), 0);
	if (pinned && job == say_modified)
		unpin(&bed, pointer);
	peer_close(&peer);
	bed_stop(&bed);
}

static void drain_and_the_end_of_the_log_wait_for_a_sections_report(void **state)
{
	(void)state;
	check_waits(write_in_a_section, false);
}

static void drain_and_the_end_of_the_log_wait_for_a_copys_report(void **state)
{
	(void)state;
	check_waits(write_two_buckets, false);
}

static void drain_waits_for_what_is_reported_through_a_pin_that_stays(void **state)
{
	(void)state;
	check_waits(say_modified, true);
}

static void drain_waits_for_the_report_of_a_pin_that_goes(void **state)
{
	(void)state;
	check_waits(give_up_written, true);
}

/* Where a section has ended and its report has not begun to be told. */
static struct {
	bool armed;
	struct flag came, go;
} between;

void __real_section_report(struct mapcache_client *client);
void __wrap_section_report(struct mapcache_client *client);

void __wrap_section_report(struct mapcache_client *client)
{
	if (between.armed) {
		flag_set(&between.came);
		flag_wait(&between.go);
	}
	__real_section_report(client);
}

static void F_a_report_is_on_its_way_before_its_section_ends(void **state)
{
	struct peer peer;
	struct bed bed;
	uint64_t epoch;

	(void)state;
	start_logging(&bed);
	peer_open(&peer, bed.cache);
	memset(&between, 0, sizeof(between));
	between.armed = true;
	peer_start(&peer, write_in_a_section, NULL);
	flag_wait(&between.came);
	epoch = mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_drain(bed.cache, epoch, 5, 0), -ETIMEDOUT);
	assert_int_equal(mapcache_dirty_log_wait(bed.cache, false, 5), -ETIMEDOUT);
	flag_set(&between.go);
	assert_int_equal(mapcache_drain(bed.cache, epoch, -1, 0), 0);
	assert_true(dirty(&bed, GFN));
	assert_int_equal(peer_wait(&peer), 0);
	between.armed = false;
	peer_close(&peer);
	bed_stop(&bed);
}

/* One that began in this epoch is none of its business. */
static void drain_does_not_wait_for_reports_that_began_in_its_epoch(void **state)
{
	struct peer peer;
	struct bed bed;

	(void)state;
	start_holding(&bed, &peer);
	mapcache_invalidate(bed.cache);
	peer_start(&peer, write_in_a_section, NULL);
	flag_wait(&hold.came);
	assert_int_equal(mapcache_drain(bed.cache, mapcache_epoch(bed.cache), 0, 0), 0);
	flag_set(&hold.go);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

static int open_and_close(struct peer *peer, void *data)
{
	struct flag *flags = data;

	mapcache_begin(peer->client);
	flag_set(&flags[0]);
	flag_wait(&flags[1]);
	return mapcache_end(peer->client);
}

static void switching_on_gives_up_after_its_time_and_can_be_waited_for_again(void **state)
{
	struct flag flags[2] = { { 0 }, { 0 } };
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&peer, bed.cache);
	peer_start(&peer, open_and_close, flags);
	flag_wait(&flags[0]);
	assert_int_equal(mapcache_dirty_log_wait(bed.cache, true, 0), -ETIMEDOUT);
	assert_int_equal(mapcache_dirty_log_wait(bed.cache, true, 3), -ETIMEDOUT);
	/* What begins now is reported already. */
	bed_write(bed.client, GPA, 1);
	assert_true(dirty(&bed, GFN));
	flag_set(&flags[1]);
	assert_int_equal(mapcache_dirty_log_wait(bed.cache, true, -1), 0);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_through_a_pin_that_stays_is_reported_when_said),
		cmocka_unit_test(inside_a_section_it_is_gathered_with_the_rest),
		cmocka_unit_test(what_no_pin_can_hold_is_refused),
		cmocka_unit_test(everything_pinned_for_writing_is_reported_for_the_last_pass),
		cmocka_unit_test(
			hundreds_of_places_that_are_pinned_are_reported_and_nothing_between),
		cmocka_unit_test(the_end_of_the_log_reports_what_stays_pinned),
		cmocka_unit_test(a_pin_reports_the_frame_that_it_shows),
		cmocka_unit_test(a_section_reports_the_frame_that_it_saw),
		cmocka_unit_test(each_part_of_a_bucket_reports_what_it_was_mapped_from),
		cmocka_unit_test(a_relocated_pin_reports_the_frames_that_it_shows_then),
		cmocka_unit_test(each_page_of_a_relocated_pin_reports_its_own_frame),
		cmocka_unit_test(drain_and_the_end_of_the_log_wait_for_a_sections_report),
		cmocka_unit_test(drain_and_the_end_of_the_log_wait_for_a_copys_report),
		cmocka_unit_test(drain_waits_for_what_is_reported_through_a_pin_that_stays),
		cmocka_unit_test(drain_waits_for_the_report_of_a_pin_that_goes),
		cmocka_unit_test(F_a_report_is_on_its_way_before_its_section_ends),
		cmocka_unit_test(drain_does_not_wait_for_reports_that_began_in_its_epoch),
		cmocka_unit_test(switching_on_gives_up_after_its_time_and_can_be_waited_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
