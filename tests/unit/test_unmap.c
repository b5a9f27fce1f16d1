/* SPDX-License-Identifier: MIT */
/* Memory that must be given back at once: unmapped when the call returns. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>
#include <tests/support/spy.h>

#define QUIET ((struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD })

static void unpin(struct bed *bed, volatile void *pointer)
{
	assert_int_equal(mapcache_client_unpin(bed->client, (void *)(uintptr_t)pointer, 0), 0);
}

static void what_is_unmapped_at_once_is_unmapped_when_the_call_returns(void **state)
{
	struct spy spy = { .before = NULL };
	size_t len = 5 * BED_PAGE;
	struct bed bed;
	void *pin;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	for (uint64_t gfn = 0; gfn < 20; gfn++)
		(void)bed_read(bed.client, gfn * BED_PAGE);
	assert_int_equal(bed_totals().foreign_mappings, 20);
	assert_int_equal(mapcache_unmap(bed.cache, 4 * BED_PAGE + 5, 1, 0), 0);
	assert_int_equal(bed_totals().foreign_mappings, 19);
	pin = mapcache_pin(bed.client, 30 * BED_PAGE, &len, PROT_READ, MAPCACHE_PIN_OWN_MAPPING);
	assert_non_null(pin);
	assert_int_equal(mapcache_unmap(bed.cache, 34 * BED_PAGE, BED_PAGE, 0), -ETIMEDOUT);
	assert_int_equal(mapcache_unpin(bed.cache, pin, 0), 0);
	assert_int_equal(mapcache_unmap(bed.cache, 34 * BED_PAGE, BED_PAGE, 0), 0);
	assert_int_equal(bed_totals().foreign_mappings, 19);
	assert_int_equal(mapcache_unmap(bed.cache, 0, 40 * BED_PAGE, 0), 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(bed_read(bed.client, 4 * BED_PAGE), bed_value(4));
	bed_stop(&bed);
}

static void unmapping_at_once_does_not_wait_for_itself(void **state)
{
	struct spy spy = { .before = NULL };
	struct bed bed;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	mapcache_begin(bed.client);
	assert_int_equal(*bed_ptr(bed.client, 0, PROT_READ), bed_value(0));
	assert_int_equal(mapcache_unmap(bed.cache, 0, BED_PAGE, -1), -EDEADLK);
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(mapcache_unmap(NULL, 0, BED_PAGE, 0), -EINVAL);
	assert_int_equal(mapcache_unmap(bed.cache, 0, 0, 0), -EINVAL);
	assert_int_equal(mapcache_unmap(bed.cache, BED_PAGE, UINT64_MAX, 0), -ERANGE);
	bed_stop(&bed);
}

struct holder {
	struct mapcache *cache;
	struct flag inside, leave;
};

static void *hold_a_section(void *data)
{
	struct holder *holder = data;
	struct mapcache_client *client;

	if (mapcache_client_open(holder->cache, &client))
		return data;
	mapcache_begin(client);
	if (!mapcache_ptr(client, 0, 8, PROT_READ))
		return data;
	flag_set(&holder->inside);
	flag_wait(&holder->leave);
	mapcache_end(client);
	return mapcache_client_close(client) ? data : NULL;
}

static void unmapping_at_once_waits_for_another_threads_section(void **state)
{
	struct spy spy = { .before = NULL };
	struct holder holder = { .cache = NULL };
	pthread_t thread;
	struct bed bed;
	void *failed;

	(void)state;
	bed_start_anywhere(&bed, &spy, QUIET);
	holder.cache = bed.cache;
	assert_int_equal(pthread_create(&thread, NULL, hold_a_section, &holder), 0);
	flag_wait(&holder.inside);
	assert_int_equal(mapcache_unmap(bed.cache, 0, BED_PAGE, 5), -ETIMEDOUT);
	assert_int_equal(bed_totals().foreign_mappings, 1);
	flag_set(&holder.leave);
	assert_int_equal(mapcache_unmap(bed.cache, 0, BED_PAGE, -1), 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	bed_stop(&bed);
}

/* ---- foreign memory: what is unplugged, what is left of a domain ---------------------------- */

/* One map call for pages of several buckets. */
static void check_list(struct bed *bed)
{
	struct mapcache_range ranges[2] = { { BED_PAGE, 8 }, { 2 * BED_BUCKET, 8 } };
	struct iovec iov[2];

	assert_int_equal(mapcache_pin_sgl(bed->client, ranges, 2, PROT_READ, iov, 2), 2);
	assert_int_equal(mapcache_unmap(bed->cache, 2 * BED_BUCKET, 1, 3), -ETIMEDOUT);
	assert_int_equal(mapcache_unmap(bed->cache, BED_BUCKET, 1, 3), 0);
	unpin(bed, iov[0].iov_base);
	unpin(bed, iov[1].iov_base);
	assert_int_equal(mapcache_unmap(bed->cache, 0, UINT64_MAX, 0), 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
}

static void foreign_memory_is_unmapped_when_the_call_returns(void **state)
{
	volatile uint64_t *pin, *piece;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t gfn = 0; gfn < 1024; gfn += 32)
		(void)bed_read(bed.client, gfn * BED_PAGE);
	pin = bed_pin(bed.client, BED_BUCKET);
	piece = bed_pin_range(bed.client, 3 * BED_BUCKET - BED_PAGE, 2 * BED_PAGE, PROT_READ,
			      MAPCACHE_PIN_CONTIGUOUS);
	/* What the guest gave away, what was moved and is stale, what is current. */
	mapcache_invalidate(bed.cache);
	for (uint64_t gfn = 0; gfn < 512; gfn += 64)
		(void)bed_read(bed.client, gfn * BED_PAGE);
	bed_remove(&bed, 7);
	assert_int_equal(bed_totals().pages_held, 1);
	assert_int_equal(mapcache_unmap(bed.cache, 7 * BED_PAGE, BED_PAGE, 0), 0);
	assert_int_equal(bed_totals().pages_held, 0);
	assert_int_equal(mapcache_unmap(bed.cache, BED_BUCKET, 1, 3), -ETIMEDOUT);
	unpin(&bed, pin);
	assert_int_equal(mapcache_unmap(bed.cache, BED_BUCKET, 1, 0), 0);
	assert_int_equal(mapcache_unmap(bed.cache, 3 * BED_BUCKET, 1, 3), -ETIMEDOUT);
	unpin(&bed, piece);
	assert_int_equal(mapcache_unmap(bed.cache, 0, UINT64_MAX, 0), 0);
	assert_int_equal(bed_totals().foreign_mappings, 0);
	check_list(&bed);
	assert_int_equal(bed_read(bed.client, BED_BUCKET), bed_value(256));
	bed_stop(&bed);
}

static void note_gone(void *data)
{
	++*(unsigned int *)data;
}

static void a_domain_that_is_gone_is_told_once_and_given_up_by_one_call(void **state)
{
	unsigned int told = 0;
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .gone = note_gone,
						  .gone_data = &told } };
	struct bed bed;
	uint32_t domid;
	uint64_t pages;

	(void)state;
	bed_start(&bed, &options);
	domid = bed.rig.domid;
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	assert_int_equal(xensim_domain_destroy(bed.domain), 0);
	bed.rig.domain = NULL;
	assert_int_equal(xensim_domain_state(domid, &pages), 3);
	assert_int_equal(told, 0);
	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(bed_error(bed.client, i * BED_BUCKET, 8, PROT_READ), ESRCH);
	assert_int_equal(told, 1);
	assert_int_equal(mapcache_unmap(bed.cache, 0, UINT64_MAX, 0), 0);
	assert_int_equal(xensim_domain_state(domid, &pages), 0);
	assert_int_equal(told, 1);
	bed_stop(&bed);
}

/* The report and the server hear of it as well, whoever is first. */
static void the_end_of_a_domain_is_heard_of_by_every_way_to_xen(void **state)
{
	(void)state;
	for (unsigned int way = 0; way < 3; way++) {
		unsigned int told = 0;
		struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .gone = note_gone,
							  .gone_data = &told } };
		struct mapcache_ioreq *server;
		volatile uint64_t *pin;
		struct bed bed;

		bed_start(&bed, &options);
		server = rig_server_open(&bed.rig);
		pin = bed_pin(bed.client, 0);
		assert_int_equal(mapcache_dirty_log(bed.cache, true), 0);
		assert_int_equal(xensim_domain_destroy(bed.domain), 0);
		bed.rig.domain = NULL;
		if (way == 0)
			assert_int_equal(mapcache_modified(bed.client, (void *)pin, 8), -ESRCH);
		else if (way == 1)
			assert_int_equal(mapcache_ioreq_enable(server, true), -ESRCH);
		else
			assert_int_equal(mapcache_ioreq_add_range(server, MAPCACHE_IOREQ_PORT, 1,
								  2),
					 -ESRCH);
		assert_int_equal(told, 1);
		unpin(&bed, pin);
		assert_int_equal(mapcache_ioreq_close(server), 0);
		bed_stop(&bed);
	}
}

/* Mapped here, it is dying and not gone: what it had is what the embedder has to give up. */
static void a_server_that_is_destroyed_under_its_owner_tells_the_end(void **state)
{
	unsigned int told = 0;
	struct rig_options options = { .host = { .strict = true },
				       .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .gone = note_gone,
						  .gone_data = &told } };
	struct mapcache_ioreq *server;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	server = rig_server_open(&bed.rig);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	assert_int_equal(xensim_domain_destroy(bed.domain), 0);
	bed.rig.domain = NULL;
	assert_int_equal(bed_error(bed.client, BED_BUCKET, 8, PROT_READ), EFAULT);
	assert_int_equal(told, 0);
	assert_int_equal(mapcache_ioreq_enable(server, false), -ENOENT);
	assert_int_equal(told, 1);
	assert_int_equal(mapcache_ioreq_close(server), 0);
	assert_int_equal(mapcache_unmap(bed.cache, 0, UINT64_MAX, 0), 0);
	assert_int_equal(bed_error(bed.client, 0, 8, PROT_READ), ESRCH);
	assert_int_equal(told, 1);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_unmapped_at_once_is_unmapped_when_the_call_returns),
		cmocka_unit_test(unmapping_at_once_does_not_wait_for_itself),
		cmocka_unit_test(unmapping_at_once_waits_for_another_threads_section),
		cmocka_unit_test(foreign_memory_is_unmapped_when_the_call_returns),
		cmocka_unit_test(a_domain_that_is_gone_is_told_once_and_given_up_by_one_call),
		cmocka_unit_test(the_end_of_a_domain_is_heard_of_by_every_way_to_xen),
		cmocka_unit_test(a_server_that_is_destroyed_under_its_owner_tells_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
