/* SPDX-License-Identifier: MIT */
/* Foreign mappings: errors and signs as seen on a real Xen, whole mappings only. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_xensim.h"

#define RW (PROT_READ | PROT_WRITE)
#define KIB4 ((size_t)XENSIM_PAGE)

static void make_hole(uint64_t gfn)
{
	assert_int_equal(xensim_outside_remove(guest, gfn), 1);
}

static void holes_report_minus_22_and_good_pages_work(void **state)
{
	int err[4] = { 1, 1, 1, 1 };
	char *address;

	(void)state;
	make_hole(17);
	make_hole(19);
	errno = 99;
	address = map_range(16, 4, RW, err);
	assert_non_null(address);
	assert_int_equal(errno, 0);
	assert_int_equal(err[0], 0);
	assert_int_equal(err[1], -22);
	assert_int_equal(err[2], 0);
	assert_int_equal(err[3], -22);
	memcpy(address + 2 * KIB4, "abc", 4);
	assert_int_equal(munmap(address, 4 * KIB4), 0);
}

static void all_pages_failed_still_gives_a_pointer(void **state)
{
	int err[2] = { 0, 0 };
	void *address;

	(void)state;
	address = map_range(RAM_PAGES + 5, 2, RW, err);
	assert_non_null(address);
	assert_int_equal(err[0], -22);
	assert_int_equal(err[1], -22);
	assert_int_equal(xenforeignmemory_unmap(fmem, address, 2), 0);
}

static void without_err_one_hole_fails_all(void **state)
{
	(void)state;
	make_hole(17);
	assert_null(map_range(16, 4, RW, NULL));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(totals_now().foreign_pages, 0);
}

static void unknown_domain_gives_a_pointer_and_minus_3(void **state)
{
	xen_pfn_t gfn[2] = { 0, 1 };
	int err[2] = { 0, 0 };
	void *address;

	(void)state;
	errno = 99;
	address = xenforeignmemory_map(fmem, 4711, RW, 2, gfn, err);
	assert_non_null(address);
	assert_int_equal(errno, 0);
	assert_int_equal(err[0], -3);
	assert_int_equal(err[1], -3);
	munmap(address, 2 * KIB4);
	assert_null(xenforeignmemory_map(fmem, 4711, RW, 2, gfn, NULL));
	assert_int_equal(errno, ESRCH);
}

static void zero_pages_is_an_error(void **state)
{
	xen_pfn_t gfn = 0;

	(void)state;
	assert_null(xenforeignmemory_map(fmem, guest_id, RW, 0, &gfn, NULL));
	assert_int_equal(errno, EINVAL);
}

/* The signal that a child dies of when it touches an address. */
/* Nobody has this address: a plain mmap may get it. */
static bool is_free(void *address)
{
	return msync(address, KIB4, MS_ASYNC) && errno == ENOMEM;
}

static sigjmp_buf escape;

static void on_signal(int number)
{
	siglongjmp(escape, number);
}

static int signal_of_touch(volatile char *address, int write)
{
	int number;

	signal(SIGBUS, on_signal);
	signal(SIGSEGV, on_signal);
	number = sigsetjmp(escape, 1);
	if (!number && write)
		*address = 1;
	else if (!number)
		(void)*address;
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return number;
}

static void touching_a_hole_is_sigbus(void **state)
{
	int err[2];
	char *address;

	(void)state;
	make_hole(17);
	address = map_range(16, 2, RW, err);
	assert_int_equal(signal_of_touch(address, 0), 0);
	assert_int_equal(signal_of_touch(address + KIB4, 0), SIGBUS);
	munmap(address, 2 * KIB4);
}

static void a_child_has_no_foreign_mappings(void **state)
{
	char *address = map_range(16, 2, RW, NULL);
	int status;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(is_free(address) && is_free(address + KIB4) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	address[0] = 1;
	munmap(address, 2 * KIB4);
}

static void writing_through_a_read_mapping_is_sigsegv(void **state)
{
	char *address = map_range(16, 1, PROT_READ, NULL);

	(void)state;
	assert_int_equal(signal_of_touch(address, 0), 0);
	assert_int_equal(signal_of_touch(address, 1), SIGSEGV);
	munmap(address, KIB4);
}

static void two_maps_and_the_guest_see_the_same_memory(void **state)
{
	char *one = map_range(16, 2, RW, NULL);
	char *two = map_range(17, 1, PROT_READ, NULL);
	char buffer[8] = "";

	(void)state;
	memcpy(one + KIB4, "shared", 7);
	assert_string_equal(two, "shared");
	assert_int_equal(xensim_guest_read(guest, 17 * KIB4, buffer, 7), 0);
	assert_string_equal(buffer, "shared");
	assert_int_equal(xensim_guest_write(guest, 17 * KIB4 - 2, "across", 6), 0);
	assert_memory_equal(one + KIB4 - 2, "across", 6);
	munmap(one, 2 * KIB4);
	munmap(two, KIB4);
}

static void map_fixed_replaces_in_place(void **state)
{
	char *area = mmap(NULL, 8 * KIB4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	xen_pfn_t gfn[2] = { 100, 101 };

	(void)state;
	assert_ptr_equal(xenforeignmemory_map2(fmem, guest_id, area + 2 * KIB4, RW, MAP_FIXED, 2,
					       gfn, NULL),
			 area + 2 * KIB4);
	assert_int_equal(xensim_is_mapping_of(guest, area + 3 * KIB4, 101 * KIB4), 1);
	gfn[0] = 200;
	gfn[1] = 150;
	assert_ptr_equal(xenforeignmemory_map2(fmem, guest_id, area + 2 * KIB4, RW, MAP_FIXED, 2,
					       gfn, NULL),
			 area + 2 * KIB4);
	assert_int_equal(xensim_is_mapping_of(guest, area + 2 * KIB4, 200 * KIB4), 1);
	assert_int_equal(xensim_is_mapping_of(guest, area + 3 * KIB4, 150 * KIB4), 1);
	assert_int_equal(xensim_is_mapping_of(guest, area + 3 * KIB4, 101 * KIB4), 0);
	assert_int_equal(xensim_is_mapping_of(guest, area, 100 * KIB4), -ENOENT);
	assert_int_equal(totals_now().foreign_mappings, 1);
	assert_int_equal(totals_now().foreign_pages, 2);
	assert_int_equal(munmap(area, 8 * KIB4), 0);
}

static void one_call_maps_the_whole_guest(void **state)
{
	static int err[RAM_PAGES];
	char *address = map_range(0, RAM_PAGES, PROT_READ, err);

	(void)state;
	assert_non_null(address);
	assert_int_equal(err[RAM_PAGES - 1], 0);
	assert_int_equal(totals_now().foreign_pages, RAM_PAGES);
	munmap(address, RAM_PAGES * KIB4);
}

static void a_part_cannot_be_unmapped_or_replaced(void **state)
{
	char *address = map_range(16, 4, RW, NULL);
	xen_pfn_t gfn = 3;

	(void)state;
	assert_int_equal(munmap(address, KIB4), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(munmap(address + KIB4, 3 * KIB4), -1);
	assert_ptr_equal(mmap(address + KIB4, KIB4, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_null(xenforeignmemory_map2(fmem, guest_id, address, RW, MAP_FIXED, 1, &gfn, NULL));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(totals_now().splits_refused, 4);
	assert_int_equal(totals_now().foreign_pages, 4);
	assert_int_equal(xensim_is_mapping_of(guest, address, 16 * KIB4), 1);
	assert_int_equal(munmap(address, 4 * KIB4), 0);
}

static int start_old_kernel(void **state)
{
	const struct xensim_options options = { .allow_split = true };

	(void)state;
	return start_with(&options);
}

static void an_old_kernel_lets_parts_go(void **state)
{
	char *address = map_range(16, 4, RW, NULL);

	(void)state;
	assert_int_equal(munmap(address + KIB4, KIB4), 0);
	assert_int_equal(totals_now().foreign_pages, 3);
	assert_int_equal(totals_now().foreign_mappings, 2);
	assert_int_equal(xensim_is_mapping_of(guest, address + KIB4, 17 * KIB4), -ENOENT);
	assert_int_equal(xensim_is_mapping_of(guest, address + 2 * KIB4, 18 * KIB4), 1);
	assert_int_equal(munmap(address, 4 * KIB4), 0);
	assert_int_equal(totals_now().foreign_pages, 0);
}

static void neighbours_go_in_one_call(void **state)
{
	char *area = mmap(NULL, 4 * KIB4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	xen_pfn_t gfn[2] = { 100, 101 };

	(void)state;
	xenforeignmemory_map2(fmem, guest_id, area, RW, MAP_FIXED, 2, gfn, NULL);
	xenforeignmemory_map2(fmem, guest_id, area + 2 * KIB4, RW, MAP_FIXED, 1, gfn, NULL);
	assert_int_equal(totals_now().foreign_mappings, 2);
	assert_ptr_equal(mmap(area, 4 * KIB4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			      -1, 0),
			 area);
	assert_int_equal(totals_now().foreign_mappings, 0);
	assert_int_equal(totals_now().unmap_calls, 1);
	munmap(area, 4 * KIB4);
}

static void mremap_is_refused(void **state)
{
	char *address = map_range(16, 1, RW, NULL);

	(void)state;
	assert_ptr_equal(mremap(address, KIB4, 2 * KIB4, MREMAP_MAYMOVE), MAP_FAILED);
	assert_int_equal(errno, EFAULT);
	munmap(address, KIB4);
}

static void mprotect_is_refused_on_x86(void **state)
{
	char *address = map_range(16, 1, RW, NULL);

	(void)state;
	assert_int_equal(mprotect(address, KIB4, PROT_NONE), -1);
	munmap(address, KIB4);
}

static void mprotect_of_whole_mappings_works_on_arm(void **state)
{
	char *address = map_range(16, 2, RW, NULL);

	(void)state;
	assert_int_equal(mprotect(address, KIB4, PROT_NONE), -1);
	assert_int_equal(mprotect(address, 2 * KIB4, PROT_READ), 0);
	munmap(address, 2 * KIB4);
}

static void read_only_memory_maps_writable(void **state)
{
	char *address;
	int err;

	(void)state;
	assert_int_equal(xensim_p2m_set_type(guest, 17, 1, XENSIM_RAM_RO), 0);
	address = map_range(17, 1, RW, &err);
	assert_int_equal(err, 0);
	strcpy(address, "written");
	munmap(address, KIB4);
	address = map_range(17, 1, PROT_READ, &err);
	assert_string_equal(address, "written");
	munmap(address, KIB4);
}

static void denied_memory_maps_for_reading_only(void **state)
{
	int err[2];
	char *address;

	(void)state;
	assert_int_equal(xensim_p2m_set_type(guest, 17, 1, XENSIM_DENIED), 0);
	address = map_range(16, 2, RW, err);
	assert_int_equal(err[0], 0);
	assert_int_equal(err[1], -EACCES);
	munmap(address, 2 * KIB4);
	address = map_range(16, 2, PROT_READ, err);
	assert_int_equal(err[1], 0);
	munmap(address, 2 * KIB4);
}

static void grants_and_mmio_cannot_be_mapped(void **state)
{
	int err[2];
	char *address;

	(void)state;
	assert_int_equal(xensim_p2m_set_type(guest, 16, 1, XENSIM_GRANT), 0);
	assert_int_equal(xensim_p2m_set_type(guest, 17, 1, XENSIM_MMIO), 0);
	address = map_range(16, 2, PROT_READ, err);
	assert_int_equal(err[0], -22);
	assert_int_equal(err[1], -22);
	munmap(address, 2 * KIB4);
}

static void a_restricted_handle_maps_its_domain_only(void **state)
{
	xen_pfn_t gfn = 0;
	int err;

	(void)state;
	assert_int_equal(xenforeignmemory_restrict(fmem, (domid_t)guest_id), 0);
	assert_null(xenforeignmemory_map(fmem, guest_id + 1, RW, 1, &gfn, &err));
	assert_int_equal(errno, EPERM);
	munmap(map_range(0, 1, RW, NULL), KIB4);
	assert_int_equal(xenforeignmemory_restrict(fmem, (domid_t)(guest_id + 1)), -1);
}

/* ---- map calls that fail ----------------------------------------------------------- */

/* A reservation with a foreign mapping in it, which a failing call is then made over. */
static char *reserve_and_map(void)
{
	char *base = mmap(NULL, 8 * KIB4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	xen_pfn_t gfn = 40;

	assert_ptr_not_equal(base, MAP_FAILED);
	assert_ptr_equal(xenforeignmemory_map2(fmem, guest_id, base + 2 * KIB4, RW, MAP_FIXED, 1,
					       &gfn, NULL),
			 base + 2 * KIB4);
	return base;
}

static void check_range_lost(char *base, int error)
{
	assert_int_equal(errno, error);
	assert_false(is_free(base));
	assert_true(is_free(base + KIB4));
	assert_true(is_free(base + 2 * KIB4));
	assert_false(is_free(base + 3 * KIB4));
	assert_int_equal(totals_now().foreign_mappings, 0);
	munmap(base, 8 * KIB4);
}

static void a_map_that_fails_unmaps_what_it_was_given(void **state)
{
	static const int errors[] = { EPERM, ENOMEM, EINTR };
	xen_pfn_t gfns[] = { 50, 51 };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		char *base = reserve_and_map();
		int err[2];

		xensim_fail(XENSIM_CALL_MAP, 1, errors[i]);
		assert_null(xenforeignmemory_map2(fmem, guest_id, base + KIB4, RW, MAP_FIXED, 2,
						  gfns, err));
		check_range_lost(base, errors[i]);
	}
}

static void a_hole_without_errors_asked_for_unmaps_what_it_was_given(void **state)
{
	xen_pfn_t gfns[] = { 50, 51 };
	char *base = reserve_and_map();

	(void)state;
	make_hole(51);
	assert_null(
		xenforeignmemory_map2(fmem, guest_id, base + KIB4, RW, MAP_FIXED, 2, gfns, NULL));
	check_range_lost(base, EINVAL);
}

static void a_map_that_would_split_another_changes_nothing(void **state)
{
	xen_pfn_t gfns[] = { 50, 51 };
	char *base = map_range(40, 4, RW, NULL);
	int err[2];

	(void)state;
	xensim_fail(XENSIM_CALL_MAP, 1, EPERM);
	assert_null(
		xenforeignmemory_map2(fmem, guest_id, base + KIB4, RW, MAP_FIXED, 2, gfns, err));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(totals_now().foreign_mappings, 1);
	base[0] = base[4 * KIB4 - 1] = 1;
	munmap(base, 4 * KIB4);
}

/* ---- what a mapped page costs dom0 ------------------------------------------------- */

static int start_poor(void **state)
{
	const struct xensim_options options = { .dom0_pages = 8 };

	(void)state;
	return start_with(&options);
}

static void a_mapped_page_costs_one_of_dom0(void **state)
{
	char *first = map_range(40, 6, RW, NULL);
	char *second;

	(void)state;
	assert_non_null(first);
	assert_int_equal(totals_now().dom0_pages_used, 6);
	assert_null(map_range(50, 3, RW, NULL));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(totals_now().dom0_out_of_memory, 1);
	second = map_range(50, 2, RW, NULL);
	assert_non_null(second);
	munmap(first, 6 * KIB4);
	assert_int_equal(totals_now().dom0_pages_used, 2);
	assert_int_equal(totals_now().dom0_pages_peak, 8);
	munmap(second, 2 * KIB4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest map_tests[] = {
	TEST(holes_report_minus_22_and_good_pages_work),
	TEST(all_pages_failed_still_gives_a_pointer),
	TEST(without_err_one_hole_fails_all),
	TEST(unknown_domain_gives_a_pointer_and_minus_3),
	TEST(zero_pages_is_an_error),
	TEST(touching_a_hole_is_sigbus),
	TEST(a_child_has_no_foreign_mappings),
	TEST(writing_through_a_read_mapping_is_sigsegv),
	TEST(two_maps_and_the_guest_see_the_same_memory),
	TEST(map_fixed_replaces_in_place),
	TEST(one_call_maps_the_whole_guest),
	TEST(a_part_cannot_be_unmapped_or_replaced),
	cmocka_unit_test_setup_teardown(an_old_kernel_lets_parts_go, start_old_kernel, stop),
	TEST(neighbours_go_in_one_call),
	TEST(mremap_is_refused),
	TEST(mprotect_is_refused_on_x86),
	cmocka_unit_test_setup_teardown(mprotect_of_whole_mappings_works_on_arm, start_arm, stop),
	TEST(a_map_that_fails_unmaps_what_it_was_given),
	TEST(a_hole_without_errors_asked_for_unmaps_what_it_was_given),
	TEST(a_map_that_would_split_another_changes_nothing),
	cmocka_unit_test_setup_teardown(a_mapped_page_costs_one_of_dom0, start_poor, stop),
	TEST(read_only_memory_maps_writable),
	TEST(denied_memory_maps_for_reading_only),
	TEST(grants_and_mmio_cannot_be_mapped),
	TEST(a_restricted_handle_maps_its_domain_only),
};
const size_t map_count = sizeof(map_tests) / sizeof(map_tests[0]);
