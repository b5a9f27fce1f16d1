/* SPDX-License-Identifier: MIT */
/* Caches of granted pages: one for those that may only be read, one for the others. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <bench/random.h>
#include <tests/support/bed.h>

#define RW (PROT_READ | PROT_WRITE)
/* What a table reaches by default. */
#define REFERENCE_MAX (UINT32_MAX >> (sizeof(void *) == 4 ? 12 : 5))

struct grants {
	struct bed bed; /* of the guest's RAM */
	struct mapcache *cache, *read_only;
	struct mapcache_client *client, *reader;
};

static struct mapcache *grants_cache(struct grants *grants, const struct mapcache_backend *backend)
{
	const struct mapcache_options options = { .size = sizeof(options),
						  .domid = grants->bed.rig.domid,
						  .backend = backend,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD };
	struct mapcache *cache;

	assert_int_equal(mapcache_open(&options, &cache), 0);
	return cache;
}

static void grants_start(struct grants *grants)
{
	bed_start(&grants->bed, BED_QUIET);
	grants->cache = grants_cache(grants, &mapcache_backend_grants);
	grants->read_only = grants_cache(grants, &mapcache_backend_grants_read_only);
	assert_int_equal(mapcache_client_open(grants->cache, &grants->client), 0);
	assert_int_equal(mapcache_client_open(grants->read_only, &grants->reader), 0);
}

static void grants_stop(struct grants *grants)
{
	assert_int_equal(mapcache_client_close(grants->client), 0);
	assert_int_equal(mapcache_client_close(grants->reader), 0);
	assert_int_equal(mapcache_close(grants->cache), 0);
	assert_int_equal(mapcache_close(grants->read_only), 0);
	bed_stop(&grants->bed);
}

static uint32_t grant(struct grants *grants, uint64_t gfn, bool read_only)
{
	uint32_t reference = xensim_grant(grants->bed.domain, gfn, read_only);

	assert_true(reference != 0);
	return reference;
}

static int take_back(struct grants *grants, uint32_t reference)
{
	return xensim_grant_end(grants->bed.domain, reference);
}

static uint64_t address_of(uint32_t reference)
{
	return mapcache_grant_address(reference, 0);
}

/* ---- by bit 63, from any thread ------------------------------------------------------------ */

static void an_address_chooses_its_cache_and_its_end_gives_granted_pages_back(void **state)
{
	static const int prots[] = { PROT_READ, RW };
	struct grants grants;

	(void)state;
	grants_start(&grants);
	for (int write = 0; write < 2; write++) {
		struct mapcache *caches[2] = { grants.read_only, grants.cache };
		struct mapcache *guest = grants.bed.cache;
		uint32_t reference = grant(&grants, 40, !write);
		uint64_t granted = address_of(reference) | MAPCACHE_ADDRESS_GRANT;
		uint64_t address = granted;
		struct mapcache_client *client;
		size_t len = 8;
		void *pin;

		client = mapcache_address_client(guest, caches, &address, prots[write]);
		assert_ptr_equal(client, mapcache_thread_client(caches[write]));
		assert_int_equal(address, address_of(reference));
		pin = mapcache_pin(client, address, &len, prots[write], 0);
		assert_non_null(pin);
		assert_int_equal(*(uint64_t *)pin, bed_value(40));
		assert_int_equal(take_back(&grants, reference), -EBUSY);
		assert_int_equal(mapcache_address_unpin(guest, caches, pin, len, 0, 100), 0);
		assert_int_equal(take_back(&grants, reference), 0);

		address = 41 * BED_PAGE;
		client = mapcache_address_client(guest, caches, &address, prots[write]);
		assert_ptr_equal(client, mapcache_thread_client(guest));
		assert_int_equal(address, 41 * BED_PAGE);
		pin = mapcache_pin(client, address, &len, prots[write], 0);
		assert_non_null(pin);
		assert_int_equal(*(uint64_t *)pin, bed_value(41));
		assert_int_equal(mapcache_address_unpin(guest, caches, pin, len, 0, 100), 0);
		assert_int_equal(mapcache_address_unpin(guest, caches, pin, len, 0, 0), -EINVAL);

		/* Nothing to map it with; and the address is as it was. */
		caches[write] = NULL;
		address = granted;
		assert_null(mapcache_address_client(guest, caches, &address, prots[write]));
		assert_int_equal(errno, ENODEV);
		assert_null(mapcache_address_client(guest, NULL, &address, prots[write]));
		assert_int_equal(errno, ENODEV);
		assert_int_equal(address, granted);
	}
	grants_stop(&grants);
}

static void a_granted_page_that_others_pin_is_theirs(void **state)
{
	struct mapcache_client *client;
	struct grants grants;
	uint32_t reference;
	uint64_t address;
	size_t len = 8;
	void *theirs, *ours;

	(void)state;
	grants_start(&grants);
	struct mapcache *caches[2] = { grants.read_only, grants.cache };

	reference = grant(&grants, 40, false);
	address = address_of(reference);
	theirs = mapcache_pin(grants.client, address, &len, RW, 0);
	assert_non_null(theirs);
	address |= MAPCACHE_ADDRESS_GRANT;
	client = mapcache_address_client(grants.bed.cache, caches, &address, RW);
	ours = mapcache_pin(client, address, &len, RW, 0);
	assert_non_null(ours);
	assert_int_equal(mapcache_address_unpin(grants.bed.cache, caches, ours, len, 0, 1),
			 -ETIMEDOUT);
	assert_int_equal(*(uint64_t *)theirs, bed_value(40));
	assert_int_equal(mapcache_address_unpin(grants.bed.cache, caches, theirs, len, 0, 100), 0);
	assert_int_equal(take_back(&grants, reference), 0);
	grants_stop(&grants);
}

static void what_is_no_address_and_no_pin_is_refused(void **state)
{
	struct grants grants;
	uint64_t address = 0;
	int here;

	(void)state;
	grants_start(&grants);
	struct mapcache *caches[2] = { grants.read_only, grants.cache };
	struct mapcache *guest = grants.bed.cache;

	assert_null(mapcache_address_client(NULL, caches, &address, RW));
	assert_int_equal(errno, EINVAL);
	assert_null(mapcache_address_client(guest, caches, NULL, RW));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(mapcache_address_unpin(guest, caches, &here, 8, 0, 0), -EINVAL);
	assert_int_equal(mapcache_address_unpin(guest, NULL, &here, 8, 0, 0), -EINVAL);
	assert_int_equal(mapcache_address_unpin(guest, caches, NULL, 8, 0, 0), -EINVAL);
	assert_int_equal(mapcache_address_unpin(NULL, caches, &here, 8, 0, 0), -EINVAL);
	assert_int_equal(mapcache_address_unpin(guest, caches, &here, 0, 0, 0), -EINVAL);
	assert_int_equal(mapcache_address_unpin(guest, caches, &here, 8, 9, 0), -EINVAL);
	grants_stop(&grants);
}

/* ---- addresses ---------------------------------------------------------------------------------- */

static void a_grant_reference_stands_where_others_have_a_frame(void **state)
{
	struct grants grants;
	uint32_t reference;
	uint64_t gpa;
	void *pin;

	(void)state;
	assert_int_equal(mapcache_grant_address(UINT32_MAX, 0x1fff), UINT64_C(0xfffffffffff));
	grants_start(&grants);
	reference = grant(&grants, 77, false);
	assert_int_equal(bed_read(grants.client, address_of(reference)), bed_value(77));
	bed_write(grants.client, mapcache_grant_address(reference, 8), 99);
	assert_int_equal(bed_guest(&grants.bed, 77 * BED_PAGE + 8), 99);
	pin = (void *)(uintptr_t)bed_pin(grants.client, mapcache_grant_address(reference, 16));
	assert_int_equal(mapcache_gpa(grants.cache, pin, &gpa), 0);
	assert_int_equal(gpa, mapcache_grant_address(reference, 16));
	assert_int_equal(mapcache_unpin(grants.cache, pin, 0), 0);
	/* One that was never granted, and what is no reference. */
	assert_int_equal(bed_error(grants.client, address_of(reference + 1), 8, PROT_READ), EFAULT);
	assert_int_equal(bed_error(grants.client, UINT64_C(1) << 50, 8, PROT_READ), ERANGE);
	grants_stop(&grants);
}

static void neighbouring_references_are_one_piece_or_nothing(void **state)
{
	struct grants grants;
	size_t len = 3 * BED_PAGE;
	uint32_t first;
	char *pin;

	(void)state;
	grants_start(&grants);
	first = grant(&grants, 300, false);
	assert_int_equal(grant(&grants, 200, false), first + 1);
	assert_null(
		mapcache_pin(grants.client, address_of(first), &len, RW, MAPCACHE_PIN_CONTIGUOUS));
	assert_int_equal(errno, EFAULT);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(grant(&grants, 100, false), first + 2);
	pin = mapcache_pin(grants.client, address_of(first), &len, RW, MAPCACHE_PIN_CONTIGUOUS);
	assert_non_null(pin);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(*(uint64_t *)(pin + i * BED_PAGE), bed_value(300 - 100 * i));
	assert_int_equal(mapcache_unmap(grants.cache, address_of(first), len, 0), -ETIMEDOUT);
	assert_int_equal(take_back(&grants, first + 1), -EBUSY);
	assert_int_equal(mapcache_client_unpin(grants.client, pin, 0), 0);
	assert_int_equal(mapcache_unmap(grants.cache, address_of(first), len, 0), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(take_back(&grants, first + i), 0);
	grants_stop(&grants);
}

/* ---- reading and writing ------------------------------------------------------------------------ */

static void read_only_and_writable_grants_are_mapped_apart(void **state)
{
	struct grants grants;
	uint32_t readable, writable;

	(void)state;
	grants_start(&grants);
	readable = grant(&grants, 5, true);
	writable = grant(&grants, 6, false);
	assert_int_equal(bed_read(grants.reader, address_of(readable)), bed_value(5));
	assert_int_equal(bed_error(grants.reader, address_of(readable), 8, RW), EACCES);
	/* A page that could be written is mapped for reading there all the same. */
	assert_int_equal(bed_read(grants.reader, address_of(writable)), bed_value(6));
	assert_int_equal(bed_error(grants.reader, address_of(writable), 8, RW), EACCES);
	assert_int_equal(bed_error(grants.client, address_of(readable), 8, RW), EFAULT);
	bed_write(grants.client, address_of(writable), 7);
	assert_int_equal(bed_read(grants.reader, address_of(writable)), 7);
	grants_stop(&grants);
}

/* ---- INVALIDATE, and giving back ---------------------------------------------------------------- */

static void granted_pages_stay_mapped_over_an_invalidate(void **state)
{
	struct grants grants;
	uint32_t reference;
	uint64_t calls;

	(void)state;
	grants_start(&grants);
	reference = grant(&grants, 9, false);
	assert_int_equal(bed_read(grants.client, address_of(reference)), bed_value(9));
	assert_int_equal(bed_read(grants.bed.client, 9 * BED_PAGE), bed_value(9));
	calls = bed_totals().map_calls;
	mapcache_invalidate(grants.bed.cache);
	assert_int_equal(bed_read(grants.client, address_of(reference)), bed_value(9));
	assert_int_equal(bed_totals().map_calls, calls);
	(void)bed_read(grants.bed.client, 9 * BED_PAGE);
	assert_int_equal(bed_totals().map_calls, calls + 1);
	grants_stop(&grants);
}

static void a_grant_is_unmapped_before_its_request_is_completed(void **state)
{
	struct grants grants;
	uint32_t reference;

	(void)state;
	grants_start(&grants);
	for (uint64_t request = 0; request < 500; request++) {
		bool read_only = request % 2;
		struct mapcache *cache = read_only ? grants.read_only : grants.cache;
		struct mapcache_client *client = read_only ? grants.reader : grants.client;
		size_t len = BED_PAGE;
		void *pin;

		reference = grant(&grants, request, read_only);
		pin = mapcache_pin(client, address_of(reference), &len, read_only ? PROT_READ : RW,
				   0);
		assert_non_null(pin);
		assert_int_equal(*(uint64_t *)pin, bed_value(request));
		assert_int_equal(take_back(&grants, reference), -EBUSY);
		assert_int_equal(mapcache_client_unpin(client, pin, 0), 0);
		assert_int_equal(mapcache_unmap(cache, address_of(reference), len, 0), 0);
		assert_int_equal(take_back(&grants, reference), 0);
	}
	assert_int_equal(bed_totals().foreign_mappings, 0);
	grants_stop(&grants);
}

static void a_reference_given_out_again_shows_the_new_page(void **state)
{
	struct grants grants;
	uint32_t reference;

	(void)state;
	grants_start(&grants);
	/* Until the table has come round. */
	for (uint64_t i = 0; i < 5000; i++) {
		reference = grant(&grants, i % 1000, false);
		assert_int_equal(bed_read(grants.client, address_of(reference)),
				 bed_value(i % 1000));
		assert_int_equal(mapcache_unmap(grants.cache, address_of(reference), 1, 0), 0);
		assert_int_equal(take_back(&grants, reference), 0);
	}
	grants_stop(&grants);
}

/* ---- failures ----------------------------------------------------------------------------------- */

static void failing_calls_are_errors_and_the_next_attempt_works(void **state)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .backend = &mapcache_backend_grants };
	struct mapcache *cache;
	struct grants grants;
	uint32_t reference;

	(void)state;
	grants_start(&grants);
	xensim_fail(XENSIM_CALL_OPEN, 1, EACCES);
	assert_int_equal(mapcache_open(&options, &cache), -EACCES);
	reference = grant(&grants, 3, false);
	xensim_fail(XENSIM_CALL_GRANT_MAP, 1, ENOMEM);
	assert_int_equal(bed_error(grants.client, address_of(reference), 8, RW), ENOMEM);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(bed_read(grants.client, address_of(reference)), bed_value(3));
	xensim_fail(XENSIM_CALL_GRANT_UNMAP, 1, EINVAL);
	assert_int_equal(mapcache_unmap(grants.cache, address_of(reference), 1, 0), -ETIMEDOUT);
	assert_int_equal(take_back(&grants, reference), -EBUSY);
	assert_int_equal(mapcache_unmap(grants.cache, address_of(reference), 1, 1000), 0);
	assert_int_equal(take_back(&grants, reference), 0);
	grants_stop(&grants);
}

static void references_that_were_not_granted_do_no_harm(void **state)
{
	struct grants grants;

	(void)state;
	grants_start(&grants);
	for (uint32_t reference = 0; reference < 10000; reference += 7) {
		assert_int_equal(bed_error(grants.client, address_of(reference), 8, RW), EFAULT);
		assert_int_equal(bed_error(grants.reader, address_of(reference), 8, PROT_READ),
				 EFAULT);
	}
	assert_int_equal(bed_error(grants.client, address_of(REFERENCE_MAX), 8, RW), EFAULT);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	grants_stop(&grants);
}

static void the_log_of_modified_pages_is_xens_own_business(void **state)
{
	struct grants grants;

	(void)state;
	grants_start(&grants);
	assert_int_equal(mapcache_dirty_log(grants.cache, true), -EOPNOTSUPP);
	grants_stop(&grants);
}

/* ---- many threads, each with requests of its own ------------------------------------------------ */

#define THREADS 4
#define REQUESTS 2000

struct worker {
	struct grants *grants;
	uint64_t seed, wrong;
};

static bool serve_one(struct worker *worker, struct mapcache_client *client, uint64_t gfn)
{
	struct mapcache *cache = worker->grants->cache;
	uint32_t reference = xensim_grant(worker->grants->bed.domain, gfn, false);
	size_t len = 8;
	void *pin = mapcache_pin(client, address_of(reference), &len, RW, 0);
	bool right = pin && *(volatile uint64_t *)pin == bed_value(gfn);

	if (pin)
		right &= mapcache_unpin(cache, pin, 0) == 0;
	/* The other threads' sections are short. */
	right &= mapcache_unmap(cache, address_of(reference), 1, 10000) == 0;
	return right && xensim_grant_end(worker->grants->bed.domain, reference) == 0;
}

static void *serve(void *data)
{
	struct worker *worker = data;
	struct mapcache_client *client;

	if (mapcache_client_open(worker->grants->cache, &client)) {
		worker->wrong++;
		return NULL;
	}
	for (int i = 0; i < REQUESTS; i++)
		worker->wrong += !serve_one(worker, client, random_below(&worker->seed, 1000));
	worker->wrong += mapcache_client_close(client) != 0;
	return NULL;
}

static void every_thread_gets_its_grants_unmapped(void **state)
{
	struct worker worker[THREADS];
	pthread_t thread[THREADS];
	struct grants grants;

	(void)state;
	print_message("seed 1..%d\n", THREADS);
	grants_start(&grants);
	for (uint64_t i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){ .grants = &grants, .seed = i + 1 };
		assert_int_equal(pthread_create(&thread[i], NULL, serve, &worker[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(worker[i].wrong, 0);
	}
	assert_int_equal(bed_totals().foreign_mappings, 0);
	grants_stop(&grants);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_chooses_its_cache_and_its_end_gives_granted_pages_back),
		cmocka_unit_test(a_granted_page_that_others_pin_is_theirs),
		cmocka_unit_test(what_is_no_address_and_no_pin_is_refused),
		cmocka_unit_test(a_grant_reference_stands_where_others_have_a_frame),
		cmocka_unit_test(neighbouring_references_are_one_piece_or_nothing),
		cmocka_unit_test(read_only_and_writable_grants_are_mapped_apart),
		cmocka_unit_test(granted_pages_stay_mapped_over_an_invalidate),
		cmocka_unit_test(a_grant_is_unmapped_before_its_request_is_completed),
		cmocka_unit_test(a_reference_given_out_again_shows_the_new_page),
		cmocka_unit_test(failing_calls_are_errors_and_the_next_attempt_works),
		cmocka_unit_test(references_that_were_not_granted_do_no_harm),
		cmocka_unit_test(the_log_of_modified_pages_is_xens_own_business),
		cmocka_unit_test(every_thread_gets_its_grants_unmapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
