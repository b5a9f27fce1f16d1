/* SPDX-License-Identifier: MIT */
/* The log of modified pages: what is written is reported before the call that ends its use returns. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
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

static void nothing_is_reported_while_the_log_is_off(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t word = 1;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_write(bed.client, GPA, 1);
	assert_int_equal(mapcache_write(bed.client, GPA, &word, 8), 8);
	pointer = bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 8), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	assert_int_equal(bed_stats(&bed).modified_calls, 0);
	bed_stop(&bed);
}

static void a_write_is_reported_before_it_returns_in_one_call(void **state)
{
	static char buffer[3 * 4096];
	struct bed bed;

	(void)state;
	start_logging(&bed);
	assert_int_equal(mapcache_write(bed.client, BED_BUCKET - BED_PAGE - 1, buffer,
					2 * BED_PAGE + 2),
			 2 * BED_PAGE + 2);
	for (uint64_t gfn = 254; gfn <= 257; gfn++)
		assert_true(dirty(&bed, gfn));
	assert_int_equal(xensim_dirty_pages(bed.domain), 4);
	assert_int_equal(bed_stats(&bed).modified_calls, 1);
	bed_stop(&bed);
}

static void reading_is_not_reported(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;
	uint64_t word;

	(void)state;
	start_logging(&bed);
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	assert_int_equal(mapcache_read(bed.client, GPA, &word, 8), 8);
	pointer = bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 0), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	bed_stop(&bed);
}

static void a_section_reports_what_it_wrote_once_at_its_end(void **state)
{
	struct bed bed;

	(void)state;
	start_logging(&bed);
	mapcache_begin(bed.client);
	mapcache_begin(bed.client);
	for (uint64_t i = 0; i < 10; i++)
		*bed_ptr(bed.client, GPA + (i % 5) * 3 * BED_PAGE, PROT_READ | PROT_WRITE) = i;
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_stats(&bed).modified_calls, 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_stats(&bed).modified_calls, 1);
	assert_int_equal(xensim_dirty_pages(bed.domain), 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_true(dirty(&bed, GFN + 3 * i));
	/* The next section has a list of its own. */
	xensim_dirty_clear(bed.domain);
	bed_write(bed.client, 0, 1);
	assert_int_equal(xensim_dirty_pages(bed.domain), 1);
	bed_stop(&bed);
}

static void a_section_that_writes_more_places_than_fit_loses_none(void **state)
{
	struct bed bed;

	(void)state;
	start_logging(&bed);
	mapcache_begin(bed.client);
	for (uint64_t i = 0; i < 200; i++)
		*bed_ptr(bed.client, (i * 67 % 200) * 5 * BED_PAGE, PROT_READ | PROT_WRITE) = i;
	assert_int_equal(mapcache_end(bed.client), 0);
	for (uint64_t i = 0; i < 200; i++)
		assert_true(dirty(&bed, 5 * i));
	assert_int_equal(bed_stats(&bed).modified_calls, 1);
	bed_stop(&bed);
}

static int unpin_written(struct peer *peer, void *data)
{
	return mapcache_unpin(peer->cache, data, BED_PAGE + 1);
}

static void an_unpin_reports_the_bytes_written_whoever_does_it(void **state)
{
	volatile char *pointer;
	struct peer peer;
	struct bed bed;

	(void)state;
	start_logging(&bed);
	peer_open(&peer, bed.cache);
	pointer = (volatile char *)bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)(uintptr_t)(pointer + 4095), 2),
			 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 2);
	pointer = (volatile char *)bed_pin(bed.client, GPA + 10 * BED_PAGE);
	assert_int_equal(peer_run(&peer, unpin_written, (void *)(uintptr_t)pointer), 0);
	assert_true(dirty(&bed, GFN + 10));
	assert_true(dirty(&bed, GFN + 11));
	assert_int_equal(xensim_dirty_pages(bed.domain), 4);
	peer_close(&peer);
	bed_stop(&bed);
}

static void unpins_inside_a_section_are_reported_in_one_call(void **state)
{
	struct iovec iov[4];
	struct bed bed;
	int count;

	(void)state;
	start_logging(&bed);
	count = mapcache_pin_iov(bed.client, BED_BUCKET - BED_PAGE, BED_BUCKET + 2 * BED_PAGE,
				 PROT_WRITE, iov, 4);
	assert_int_equal(count, 3);
	mapcache_begin(bed.client);
	for (int i = 0; i < count; i++)
		assert_int_equal(mapcache_client_unpin(bed.client, iov[i].iov_base, iov[i].iov_len),
				 0);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_stats(&bed).modified_calls, 1);
	assert_int_equal(xensim_dirty_pages(bed.domain), 258);
	bed_stop(&bed);
}

static void a_contiguous_pin_reports_across_buckets_and_not_past_its_end(void **state)
{
	size_t len = BED_BUCKET + 2 * BED_PAGE;
	struct bed bed;
	void *pointer;

	(void)state;
	start_logging(&bed);
	pointer = mapcache_pin(bed.client, BED_BUCKET - BED_PAGE, &len, PROT_WRITE,
			       MAPCACHE_PIN_CONTIGUOUS);
	assert_non_null(pointer);
	assert_int_equal(mapcache_client_unpin(bed.client, pointer, SIZE_MAX), 0);
	assert_int_equal(xensim_dirty_pages(bed.domain), 258);
	assert_true(dirty(&bed, 255));
	assert_true(dirty(&bed, 512));
	bed_stop(&bed);
}

static void a_pin_taken_before_the_log_is_on_is_reported_when_released(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = bed_pin(bed.client, GPA);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	*pointer = 1;
	assert_int_equal(mapcache_client_unpin(bed.client, (void *)pointer, 8), 0);
	assert_true(dirty(&bed, GFN));
	bed_stop(&bed);
}

/* Entries shown before the switch must not be hit for writing after it. */
static void hits_for_writing_are_noticed_from_the_switch_on(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_write(bed.client, GPA, 1);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
	bed_write(bed.client, GPA, 2);
	assert_true(dirty(&bed, GFN));
	xensim_dirty_clear(bed.domain);
	assert_int_equal(bed_read(bed.client, GPA), 2);
	bed_write(bed.client, GPA, 3);
	assert_true(dirty(&bed, GFN));
	/* And off again: they are hits again. */
	assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	xensim_dirty_clear(bed.domain);
	bed_write(bed.client, GPA, 4);
	assert_int_equal(xensim_dirty_pages(bed.domain), 0);
	bed_stop(&bed);
}

static int switch_on(struct peer *peer, void *data)
{
	(void)data;
	return mapcache_dirty_log(peer->cache, true);
}

static bool is_logging(void *data)
{
	struct bed *bed = data;

	/* A section that begins now is noticed. */
	xensim_dirty_clear(bed->domain);
	bed_write(bed->other, 5 * BED_BUCKET / 2, 1);
	return xensim_dirty_pages(bed->domain) != 0;
}

/* A section that holds a pointer for writing since before the switch: it waits for that. */
static void switching_on_waits_for_the_sections_that_are_open(void **state)
{
	volatile uint64_t *pointer;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	peer_open(&peer, bed.cache);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, GPA, PROT_READ | PROT_WRITE);
	peer_start(&peer, switch_on, NULL);
	assert_true(eventually(is_logging, &bed));
	assert_true(peer_busy(&peer));
	*pointer = 1;
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

static void the_switch_is_refused_in_a_section_and_without_a_report(void **state)
{
	static struct mapcache_backend old;
	struct rig_options options = { .cache = { .backend = &old } };
	struct bed bed;

	(void)state;
	assert_int_equal(mapcache_dirty_log(NULL, true), -EINVAL);
	/* A backend made for an older header: its struct ends sooner. */
	old = mapcache_backend_xen;
	old.size = offsetof(struct mapcache_backend, modified);
	bed_start(&bed, &options);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), -EOPNOTSUPP);
	bed_write(bed.client, GPA, 1);
	bed_stop(&bed);
	bed_start(&bed, BED_QUIET);
	mapcache_begin(bed.client);
	assert_int_equal(mapcache_dirty_log(bed.cache, true), -EDEADLK);
	assert_int_equal(mapcache_end(bed.client), 0);
	bed_stop(&bed);
}

static void a_report_that_fails_is_tried_again_and_then_counted(void **state)
{
	struct bed bed;

	(void)state;
	start_logging(&bed);
	xensim_fail(XENSIM_CALL_DEVICEMODEL, 1, EINTR);
	bed_write(bed.client, GPA, 1);
	assert_true(dirty(&bed, GFN));
	assert_int_equal(bed_stats(&bed).modified_errors, 0);
	bed_stop(&bed);
}

#define ROUNDS 400u

static int write_rounds(struct peer *peer, void *data)
{
	uint64_t base = *(uint64_t *)data, word = 1;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		ssize_t done = mapcache_write(peer->client, (base + i % 128) * BED_PAGE, &word, 8);

		if (done != 8)
			return done < 0 ? (int)done : -EIO;
	}
	return 0;
}

/* Each round: on, everything written since is in the log, off. */
static void no_page_is_lost_while_threads_write_and_the_log_goes_on_and_off(void **state)
{
	uint64_t base[2] = { 0, 300 };
	struct peer peers[2];
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	for (unsigned int i = 0; i < 2; i++)
		peer_open(&peers[i], bed.cache);
	for (unsigned int round = 0; round < 20; round++) {
		peer_start(&peers[0], write_rounds, &base[0]);
		assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
		xensim_dirty_clear(bed.domain);
		assert_int_equal(peer_run(&peers[1], write_rounds, &base[1]), 0);
		for (uint64_t gfn = 0; gfn < 128; gfn++)
			assert_true(dirty(&bed, base[1] + gfn));
		assert_int_equal(peer_wait(&peers[0]), 0);
		assert_int_equal(mapcache_dirty_log(bed.cache, false), 0);
	}
	assert_int_equal(bed_stats(&bed).modified_errors, 0);
	for (unsigned int i = 0; i < 2; i++)
		peer_close(&peers[i]);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_reported_while_the_log_is_off),
		cmocka_unit_test(a_write_is_reported_before_it_returns_in_one_call),
		cmocka_unit_test(reading_is_not_reported),
		cmocka_unit_test(a_section_reports_what_it_wrote_once_at_its_end),
		cmocka_unit_test(a_section_that_writes_more_places_than_fit_loses_none),
		cmocka_unit_test(an_unpin_reports_the_bytes_written_whoever_does_it),
		cmocka_unit_test(unpins_inside_a_section_are_reported_in_one_call),
		cmocka_unit_test(a_contiguous_pin_reports_across_buckets_and_not_past_its_end),
		cmocka_unit_test(a_pin_taken_before_the_log_is_on_is_reported_when_released),
		cmocka_unit_test(hits_for_writing_are_noticed_from_the_switch_on),
		cmocka_unit_test(switching_on_waits_for_the_sections_that_are_open),
		cmocka_unit_test(the_switch_is_refused_in_a_section_and_without_a_report),
		cmocka_unit_test(a_report_that_fails_is_tried_again_and_then_counted),
		cmocka_unit_test(no_page_is_lost_while_threads_write_and_the_log_goes_on_and_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
