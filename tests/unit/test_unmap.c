/* SPDX-License-Identifier: MIT */
/* Memory that must be given back at once: unmapped when the call returns. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/flag.h>
#include <tests/support/spy.h>

#define QUIET ((struct mapcache_options){ .flags = MAPCACHE_NO_RECLAIM_THREAD })

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
	pin = mapcache_pin(bed.client, 30 * BED_PAGE, &len, PROT_READ, MAPCACHE_PIN_OWN);
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
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_unmap(bed.cache, 0, BED_PAGE, 0), -EOPNOTSUPP);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_unmapped_at_once_is_unmapped_when_the_call_returns),
		cmocka_unit_test(unmapping_at_once_does_not_wait_for_itself),
		cmocka_unit_test(unmapping_at_once_waits_for_another_threads_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
