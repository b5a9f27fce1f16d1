/* SPDX-License-Identifier: MIT */
/* Paged-out frames, injected failures and hangs, hooks, costs. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test_xensim.h"

#define KIB4 ((size_t)XENSIM_PAGE)

struct mapper {
	uint64_t gfn;
	uint32_t done;
	int err;
};

static void *map_one(void *data)
{
	struct mapper *mapper = data;
	void *address = map_range(mapper->gfn, 1, PROT_READ, &mapper->err);

	munmap(address, KIB4);
	__atomic_store_n(&mapper->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void a_paged_out_frame_holds_up_its_mapper_only(void **state)
{
	struct mapper mapper = { .gfn = 600, .err = 1 };
	pthread_t thread;

	(void)state;
	assert_int_equal(xensim_p2m_set_type(guest, 600, 1, XENSIM_PAGED_OUT), 0);
	pthread_create(&thread, NULL, map_one, &mapper);
	munmap(map_range(601, 4, PROT_READ, NULL), 4 * KIB4);
	usleep(20000);
	assert_int_equal(__atomic_load_n(&mapper.done, __ATOMIC_ACQUIRE), 0);
	assert_int_equal(xensim_p2m_set_type(guest, 600, 1, XENSIM_RAM), 0);
	wait_for(&mapper.done, 1);
	pthread_join(thread, NULL);
	assert_int_equal(mapper.err, 0);
}

static void a_hanging_map_goes_on_when_told(void **state)
{
	struct mapper mapper = { .gfn = 600, .err = 1 };
	pthread_t thread;
	unsigned int hanging;

	(void)state;
	xensim_hang(guest, 600);
	pthread_create(&thread, NULL, map_one, &mapper);
	do
		hanging = xensim_hanging();
	while (!hanging);
	munmap(map_range(601, 4, PROT_READ, NULL), 4 * KIB4);
	assert_int_equal(__atomic_load_n(&mapper.done, __ATOMIC_ACQUIRE), 0);
	xensim_unhang();
	pthread_join(thread, NULL);
	assert_int_equal(mapper.err, 0);
	assert_int_equal(xensim_hanging(), 0);
}

static void the_nth_call_fails_and_no_other(void **state)
{
	int err[4];
	char *address;

	(void)state;
	xensim_fail(XENSIM_CALL_MAP, 2, ENOMEM);
	address = map_range(16, 1, PROT_READ, NULL);
	assert_non_null(address);
	assert_null(map_range(16, 1, PROT_READ, NULL));
	assert_int_equal(errno, ENOMEM);
	xensim_fail(XENSIM_CALL_UNMAP, 1, EINTR);
	assert_int_equal(munmap(address, KIB4), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(xensim_is_mapping_of(guest, address, 16 * KIB4), 1);
	assert_int_equal(munmap(address, KIB4), 0);
	xensim_fail_pages(1, 3, EFAULT);
	address = map_range(16, 4, PROT_READ, err);
	assert_int_equal(err[0], -EFAULT);
	assert_int_equal(err[1], 0);
	assert_int_equal(err[3], -EFAULT);
	munmap(address, 4 * KIB4);
	xensim_fail(XENSIM_CALL_OPEN, 1, EACCES);
	assert_null(xenforeignmemory_open(NULL, 0));
	assert_int_equal(errno, EACCES);
}

static void remove_under_map(void *data, bool end, uint64_t gfn, size_t pages)
{
	uint32_t *calls = data;

	(void)pages;
	if (!end)
		xensim_outside_decrease(guest, &gfn, 1);
	++*calls;
}

static void the_map_hook_comes_before_any_frame_is_looked_at(void **state)
{
	uint32_t calls = 0;
	int err;

	(void)state;
	xensim_set_map_hook(remove_under_map, &calls);
	munmap(map_range(16, 1, PROT_READ, &err), KIB4);
	xensim_set_map_hook(NULL, NULL);
	assert_int_equal(err, -22);
	assert_int_equal(calls, 2);
}

static uint64_t time_of_map(void)
{
	uint64_t start = now_ms();

	munmap(map_range(0, 2, PROT_READ, NULL), 2 * KIB4);
	return now_ms() - start;
}

static void calls_cost_what_they_are_told_to(void **state)
{
	struct xensim_cost cost = xensim_cost_pv(1000000);

	(void)state;
	assert_true(cost.map_call + cost.map_page >= 999998);
	assert_true(cost.unmap_call + 256 * cost.unmap_page >= 9400000);
	xensim_set_cost((struct xensim_cost){ .map_page = 10000000, .unmap_call = 10000000 });
	assert_true(time_of_map() >= 29);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest fault_tests[] = {
	TEST(a_paged_out_frame_holds_up_its_mapper_only),
	TEST(a_hanging_map_goes_on_when_told),
	TEST(the_nth_call_fails_and_no_other),
	TEST(the_map_hook_comes_before_any_frame_is_looked_at),
	TEST(calls_cost_what_they_are_told_to),
};
const size_t fault_count = sizeof(fault_tests) / sizeof(fault_tests[0]);
