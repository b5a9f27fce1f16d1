/* SPDX-License-Identifier: MIT */
/* A driver that names memory by grants: VIRTIO_F_ACCESS_PLATFORM on Xen. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "virtio_rig.h"

static const struct virtio_rig_options by_grants = { .grants = true };

/* Whether the driver can take the page back. */
static bool free_again(struct virtio_rig *rig, uint64_t gpa)
{
	return xensim_grant_end(rig->rig.domain, rig->first_reference + (uint32_t)(gpa >> 12)) == 0;
}

static void everything_a_request_names_is_reached_by_its_grants(void **state)
{
	static char out[5 * 4096], found[sizeof(out)];
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 13);
	/* Across pages, from the middle of one. */
	ram_write(&rig, DATA + 512, out, sizeof(out));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_OUT, 8, DATA + 512, sizeof(out), false),
			 VIRTIO_BLK_S_OK);
	image_read(&rig, 8 * 512, found, sizeof(found));
	assert_memory_equal(found, out, sizeof(out));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 8, DATA + 0x20200, sizeof(out), true),
			 VIRTIO_BLK_S_OK);
	ram_read(&rig, DATA + 0x20200, found, sizeof(found));
	assert_memory_equal(found, out, sizeof(out));
	virtio_rig_stop(&rig);
}

static void a_request_that_is_done_holds_none_of_its_pages(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 8192, true), VIRTIO_BLK_S_OK);
	assert_true(free_again(&rig, DATA));
	assert_true(free_again(&rig, DATA + 4096));
	assert_true(free_again(&rig, HEADER));
	assert_false(free_again(&rig, RING));
	assert_false(free_again(&rig, RING + USED));
	virtio_rig_stop(&rig);
}

static void an_indirect_table_is_given_back_as_well(void **state)
{
	struct vring_desc table[3];
	struct virtio_rig rig;
	uint8_t status;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	put_header(&rig, VIRTIO_BLK_T_IN, 0);
	table[0] = (struct vring_desc){ device_address(&rig, HEADER), 16, NEXT, 1 };
	table[1] = (struct vring_desc){ device_address(&rig, DATA), 512, NEXT | WRITE, 2 };
	table[2] = (struct vring_desc){ device_address(&rig, STATUS), 1, WRITE, 0 };
	ram_write(&rig, DATA + 0x10000, table, sizeof(table));
	put_descriptor(&rig, 0, 0, DATA + 0x10000, sizeof(table), INDIRECT, 0);
	offer(&rig, 0, 0);
	assert_int_equal(serve(&rig, 0), 1);
	ram_read(&rig, STATUS, &status, 1);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	assert_true(free_again(&rig, DATA + 0x10000));
	virtio_rig_stop(&rig);
}

static void a_reset_gives_the_rings_back(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
	reg_write(&rig, VIRTIO_MMIO_STATUS, 0);
	assert_true(free_again(&rig, RING));
	assert_true(free_again(&rig, RING + AVAILABLE));
	assert_true(free_again(&rig, RING + USED));
	virtio_rig_stop(&rig);
}

static void what_is_not_granted_fails_the_request_and_nothing_else(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	assert_true(free_again(&rig, DATA));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, GUEST_GRANT | UINT64_C(1) << 60, 512,
				 true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA + 4096, 512, true),
			 VIRTIO_BLK_S_OK);
	virtio_rig_stop(&rig);
}

/* Its addresses would be taken for those of memory. */
static void a_driver_without_the_feature_is_refused(void **state)
{
	const uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	struct virtio_rig rig;
	uint64_t features;

	(void)state;
	virtio_rig_start(&rig, &by_grants);
	features = rig.blk.device.features & ~(UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM);
	assert_int_not_equal(features, rig.blk.device.features);
	reg_write(&rig, VIRTIO_MMIO_STATUS, 0);
	reg_write(&rig, VIRTIO_MMIO_STATUS, status);
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	reg_write(&rig, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_STATUS), status);
	virtio_rig_stop(&rig);
}

/* A device without grants: bit 63 is no address of its guest. */
static void a_grant_where_none_are_used_is_an_error(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, GUEST_GRANT | 8 << 12, 512, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
	virtio_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_a_request_names_is_reached_by_its_grants),
		cmocka_unit_test(a_request_that_is_done_holds_none_of_its_pages),
		cmocka_unit_test(an_indirect_table_is_given_back_as_well),
		cmocka_unit_test(a_reset_gives_the_rings_back),
		cmocka_unit_test(what_is_not_granted_fails_the_request_and_nothing_else),
		cmocka_unit_test(a_driver_without_the_feature_is_refused),
		cmocka_unit_test(a_grant_where_none_are_used_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
