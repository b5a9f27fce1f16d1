/* SPDX-License-Identifier: MIT */
/* Granted pages: who may map what, and when a guest has them back. */
#include <errno.h>
#include <sys/mman.h>
#include <xengnttab.h>
#include <xentoolcore.h>

#include "test_xensim.h"

#define RW (PROT_READ | PROT_WRITE)
#define KIB4 ((size_t)XENSIM_PAGE)

static void a_granted_page_is_the_guests_page(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference = xensim_grant(guest, 16, false);
	uint64_t value = 0;
	char *address;

	(void)state;
	assert_non_null(table);
	assert_true(reference != 0);
	address = xengnttab_map_grant_ref(table, guest_id, reference, RW);
	assert_non_null(address);
	assert_int_equal(xensim_is_mapping_of(guest, address, 16 * KIB4), 1);
	*(uint64_t *)address = 4711;
	assert_int_equal(xensim_guest_read(guest, 16 * KIB4, &value, sizeof(value)), 0);
	assert_int_equal(value, 4711);
	assert_int_equal(xensim_grant_end(guest, reference), -EBUSY);
	assert_int_equal(xengnttab_unmap(table, address, 1), 0);
	assert_int_equal(totals_now().foreign_mappings, 0);
	assert_int_equal(xensim_grant_end(guest, reference), 0);
	assert_int_equal(xensim_grant_end(guest, reference), -EINVAL);
	assert_null(xengnttab_map_grant_ref(table, guest_id, reference, PROT_READ));
	assert_int_equal(errno, EINVAL);
	xengnttab_close(table);
}

static void what_was_granted_for_reading_is_mapped_for_reading_only(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference = xensim_grant(guest, 16, true);
	void *address;

	(void)state;
	assert_null(xengnttab_map_grant_ref(table, guest_id, reference, RW));
	assert_int_equal(errno, EINVAL);
	address = xengnttab_map_grant_ref(table, guest_id, reference, PROT_READ);
	assert_non_null(address);
	assert_int_equal(xengnttab_unmap(table, address, 1), 0);
	assert_int_equal(xensim_grant_end(guest, reference), 0);
	xengnttab_close(table);
}

static void references_are_mapped_all_or_none(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t domids[3] = { guest_id, guest_id, guest_id }, references[3];
	char *address;

	(void)state;
	for (int i = 0; i < 3; i++)
		references[i] = xensim_grant(guest, 20 + 2 * (uint64_t)i, i == 2);
	assert_null(xengnttab_map_grant_refs(table, 3, domids, references, RW));
	assert_int_equal(totals_now().foreign_mappings, 0);
	assert_int_equal(xensim_grant_end(guest, references[0]), 0);
	references[0] = xensim_grant(guest, 20, false);
	address = xengnttab_map_domain_grant_refs(table, 3, guest_id, references, PROT_READ);
	assert_non_null(address);
	for (int i = 0; i < 3; i++)
		assert_int_equal(xensim_is_mapping_of(guest, address + i * KIB4,
						      (20 + 2 * (uint64_t)i) * KIB4),
				 1);
	/* Not a part of it. */
	assert_int_equal(xengnttab_unmap(table, address, 2), -1);
	assert_int_equal(xengnttab_unmap(table, address + KIB4, 2), -1);
	assert_int_equal(xensim_grant_end(guest, references[1]), -EBUSY);
	assert_int_equal(xengnttab_unmap(table, address, 3), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(xensim_grant_end(guest, references[i]), 0);
	xengnttab_close(table);
}

static void addresses_that_vanish_leave_the_reference_mapped(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference = xensim_grant(guest, 16, false);
	void *address = xengnttab_map_grant_ref(table, guest_id, reference, RW);

	(void)state;
	assert_non_null(address);
	assert_ptr_equal(mmap(address, KIB4, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0),
			 address);
	assert_int_equal(totals_now().foreign_mappings, 0);
	assert_int_equal(xensim_grant_end(guest, reference), -EBUSY);
	xengnttab_close(table);
	assert_int_equal(xensim_grant_end(guest, reference), 0);
	munmap(address, KIB4);
}

static void restricting_all_handles_shuts_this_one(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference = xensim_grant(guest, 16, false);
	void *address;

	(void)state;
	assert_int_equal(xentoolcore_restrict_all((domid_t)guest_id), 0);
	assert_null(xengnttab_map_grant_ref(table, guest_id, reference, RW));
	address = map_range(16, 1, RW, NULL);
	assert_non_null(address);
	munmap(address, KIB4);
	assert_int_equal(xensim_grant_end(guest, reference), 0);
	xengnttab_close(table);
}

static void grants_fail_when_they_are_told_to(void **state)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	uint32_t reference = xensim_grant(guest, 16, false);
	void *address;

	(void)state;
	assert_int_equal(xensim_grant(guest, RAM_PAGES + 5, false), 0);
	xensim_fail(XENSIM_CALL_GRANT_MAP, 1, ENOSPC);
	assert_null(xengnttab_map_grant_ref(table, guest_id, reference, RW));
	assert_int_equal(errno, ENOSPC);
	address = xengnttab_map_grant_ref(table, guest_id, reference, RW);
	assert_non_null(address);
	xensim_fail(XENSIM_CALL_GRANT_UNMAP, 1, ENOMEM);
	assert_int_equal(xengnttab_unmap(table, address, 1), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(xensim_grant_end(guest, reference), -EBUSY);
	xensim_fail(XENSIM_CALL_UNMAP, 1, ENOMEM);
	assert_int_equal(xengnttab_unmap(table, address, 1), -1);
	assert_int_equal(xengnttab_unmap(table, address, 1), 0);
	assert_int_equal(xensim_grant_end(guest, reference), 0);
	xengnttab_close(table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest grants_tests[] = {
	TEST(a_granted_page_is_the_guests_page),
	TEST(what_was_granted_for_reading_is_mapped_for_reading_only),
	TEST(references_are_mapped_all_or_none),
	TEST(addresses_that_vanish_leave_the_reference_mapped),
	TEST(restricting_all_handles_shuts_this_one),
	TEST(grants_fail_when_they_are_told_to),
};
const size_t grants_count = sizeof(grants_tests) / sizeof(grants_tests[0]);
