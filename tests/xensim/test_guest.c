/* SPDX-License-Identifier: MIT */
/* Read-only memory, interrupts, what device models report as modified. */
#include <errno.h>
#include <unistd.h>

#include "test_xensim.h"

static int store_read_only(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_store(vcpu, 16 * XENSIM_PAGE, argument, 4);
}

static void stores_to_read_only_memory_are_dropped(void **state)
{
	char data[4] = "abc";
	struct call call = { .run = store_read_only, .argument = data };
	char back[4];

	(void)state;
	xensim_guest_write(guest, 16 * XENSIM_PAGE, "kept", 4);
	assert_int_equal(xensim_p2m_set_type(guest, 16, 1, XENSIM_RAM_RO), 0);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(xensim_guest_read(guest, 16 * XENSIM_PAGE, back, 4), 0);
	assert_memory_equal(back, "kept", 4);
}

static int run_halt(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_halt(vcpu, argument);
}

static void an_interrupt_wakes_a_halted_vcpu(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	struct xensim_interrupts interrupts;
	uint64_t seen = 0;
	struct call call = { .run = run_halt, .argument = &seen };

	(void)state;
	call_start(&call, 0);
	usleep(20000);
	assert_int_equal(__atomic_load_n(&call.done, __ATOMIC_ACQUIRE), 0);
	assert_int_equal(xendevicemodel_set_irq_level(dmod, (domid_t)guest_id, 40, 1), 0);
	assert_int_equal(xendevicemodel_set_irq_level(dmod, (domid_t)guest_id, 40, 1), 0);
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(xendevicemodel_inject_msi(dmod, (domid_t)guest_id, 0xfee00000, 0x41), 0);
	xensim_interrupts(guest, &interrupts);
	assert_int_equal(interrupts.count, 2);
	assert_int_equal(interrupts.messages, 1);
	assert_int_equal(interrupts.msi_data, 0x41);
	assert_int_equal(interrupts.last_irq, 40);
	assert_true(interrupts.level[0] == UINT64_C(1) << 40);
	xendevicemodel_close(dmod);
}

static void modified_memory_is_remembered(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	struct xen_dm_op_modified_memory_extent extent[2] = {
		{ .nr = 2, .first_pfn = 700 },
		{ .nr = 1, .first_pfn = RAM_PAGES - 2 },
	};
	domid_t id = (domid_t)guest_id;

	(void)state;
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, 600, 3), 0);
	assert_int_equal(xendevicemodel_modified_memory_bulk(dmod, id, extent, 2), 0);
	assert_false(xensim_dirty(guest, 599));
	assert_true(xensim_dirty(guest, 602));
	assert_true(xensim_dirty(guest, 701));
	assert_int_equal(xensim_dirty_pages(guest), 6);
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, ~UINT64_C(0), 2), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, 600, 0), -1);
	xensim_dirty_clear(guest);
	assert_int_equal(xensim_dirty_pages(guest), 0);
	assert_false(xensim_dirty(guest, 602));
	xendevicemodel_close(dmod);
}

/* The highest frame is taken for the end. */
static void the_last_frame_cannot_be_reported(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	domid_t id = (domid_t)guest_id;

	(void)state;
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, RAM_PAGES - 2, 1), 0);
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, RAM_PAGES - 2, 2), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, RAM_PAGES - 1, 1), -1);
	assert_int_equal(xensim_dirty_pages(guest), 1);
	xensim_dirty_log(guest, false);
	assert_int_equal(xendevicemodel_modified_memory(dmod, id, RAM_PAGES - 1, 1), 0);
	assert_int_equal(xensim_dirty_pages(guest), 1);
	xendevicemodel_close(dmod);
}

static void extents_are_taken_from_the_last_and_one_that_is_refused_ends_it(void **state)
{
	xendevicemodel_handle *dmod = xendevicemodel_open(NULL, 0);
	struct xen_dm_op_modified_memory_extent extent[3] = {
		{ .nr = 1, .first_pfn = 700 },
		{ .nr = 1, .first_pfn = RAM_PAGES - 1 },
		{ .nr = 1, .first_pfn = 702 },
	};

	(void)state;
	assert_int_equal(xendevicemodel_modified_memory_bulk(dmod, (domid_t)guest_id, extent, 3),
			 -1);
	assert_int_equal(errno, EINVAL);
	assert_true(xensim_dirty(guest, 702));
	assert_false(xensim_dirty(guest, 700));
	xendevicemodel_close(dmod);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest guest_tests[] = {
	TEST(stores_to_read_only_memory_are_dropped),
	TEST(an_interrupt_wakes_a_halted_vcpu),
	TEST(modified_memory_is_remembered),
	TEST(the_last_frame_cannot_be_reported),
	TEST(extents_are_taken_from_the_last_and_one_that_is_refused_ends_it),
};
const size_t guest_count = sizeof(guest_tests) / sizeof(guest_tests[0]);
