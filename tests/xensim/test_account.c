/* SPDX-License-Identifier: MIT */
/* Who owns a page, who holds it, when it is free again; leaks. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "test_xensim.h"

#define RW (PROT_READ | PROT_WRITE)
#define KIB4 ((size_t)XENSIM_PAGE)

static void a_given_back_page_is_held_while_mapped(void **state)
{
	uint64_t gfn = 16, old, new, free_before = totals_now().pages_free;
	char *address = map_range(16, 1, RW, NULL);

	(void)state;
	xensim_p2m(guest, gfn, &old, NULL);
	strcpy(address, "old");
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	assert_int_equal(totals_now().pages_free, free_before);
	assert_int_equal(totals_now().pages_held, 1);
	assert_int_equal(xensim_domain_pages(guest), RAM_PAGES - 1);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	xensim_p2m(guest, gfn, &new, NULL);
	assert_int_not_equal(old, new);
	assert_int_equal(xensim_guest_write(guest, gfn * KIB4, "new", 4), 0);
	assert_string_equal(address, "old");
	assert_int_equal(xensim_is_mapping_of(guest, address, gfn * KIB4), 0);
	munmap(address, KIB4);
	assert_int_equal(totals_now().pages_held, 0);
	assert_int_equal(totals_now().pages_free, free_before);
}

static void a_destroyed_domain_lingers_while_mapped(void **state)
{
	char *address = map_range(16, 2, RW, NULL);
	uint64_t pages;
	int err;
	void *other;

	(void)state;
	assert_int_equal(xensim_domain_destroy(guest), 0);
	assert_int_equal(xensim_domain_state(guest_id, &pages), 3);
	assert_int_equal(pages, 2);
	other = map_range(16, 1, RW, &err);
	assert_non_null(other);
	assert_int_equal(err, -ESRCH);
	munmap(other, KIB4);
	memset(address, 1, 2 * KIB4);
	munmap(address, 2 * KIB4);
	assert_int_equal(xensim_domain_state(guest_id, &pages), 0);
	assert_int_equal(pages, 0);
	guest = NULL;
}

static void leaks_are_counted_exactly(void **state)
{
	uint64_t gfn = 16;

	(void)state;
	assert_non_null(map_range(16, 3, RW, NULL));
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	/* One handle, one domain, one mapping and the three pages it holds. */
	assert_int_equal(xensim_stop(NULL), 6);
	xenforeignmemory_close(fmem);
}

static void stop_reports_nothing_after_a_clean_end(void **state)
{
	(void)state;
	xenforeignmemory_close(fmem);
	xensim_domain_destroy(guest);
	assert_int_equal(xensim_stop(NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest account_tests[] = {
	TEST(a_given_back_page_is_held_while_mapped),
	TEST(a_destroyed_domain_lingers_while_mapped),
	cmocka_unit_test_setup_teardown(leaks_are_counted_exactly, start_x86, NULL),
	cmocka_unit_test_setup_teardown(stop_reports_nothing_after_a_clean_end, start_x86, NULL),
};
const size_t account_count = sizeof(account_tests) / sizeof(account_tests[0]);
