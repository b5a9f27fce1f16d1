/* SPDX-License-Identifier: MIT */
/* The virtio-mmio registers: identity, negotiation, queues, reset, interrupts, odd accesses. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtio_rig.h"

#define RUNNING                                                                                    \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
	 VIRTIO_CONFIG_S_DRIVER_OK)
#define CONFIG(field) (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, field))

static uint64_t access_read(struct virtio_rig *rig, uint64_t offset, uint32_t size, int result)
{
	uint64_t value = 0;

	assert_int_equal(virtio_mmio_read(&rig->blk.device, offset, size, &value), result);
	return value;
}

static void registers_tell_what_the_device_is(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_DEVICE_ID), 2);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_STATUS), RUNNING);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_CONFIG_GENERATION), 0);
	reg_write(&rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_DEVICE_FEATURES) & 1, 1);
	reg_write(&rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	virtio_rig_stop(&rig);
}

static void odd_accesses_are_refused(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(access_read(&rig, 0, 1, -EINVAL), UINT64_MAX);
	access_read(&rig, 0, 2, -EINVAL);
	access_read(&rig, 0, 8, -EINVAL);
	access_read(&rig, 2, 4, -EINVAL);
	access_read(&rig, 0, 3, -EINVAL);
	access_read(&rig, 0, 0, -EINVAL);
	access_read(&rig, VIRTIO_MMIO_CONFIG + 1, 2, -EINVAL);
	access_read(&rig, VIRTIO_MMIO_CONFIG + sizeof(struct virtio_blk_config), 4, -EINVAL);
	access_read(&rig, UINT64_MAX - 3, 4, -EINVAL);
	assert_int_equal(virtio_mmio_write(&rig.blk.device, VIRTIO_MMIO_STATUS, 8, 0), -EINVAL);
	assert_int_equal(virtio_mmio_write(&rig.blk.device, VIRTIO_MMIO_STATUS, 1, 0), -EINVAL);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_STATUS), RUNNING);
	virtio_rig_stop(&rig);
}

static void configuration_space_takes_any_width(void **state)
{
	struct virtio_rig rig;
	uint32_t i;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(access_read(&rig, CONFIG(capacity), 8, 0), DISK_BYTES / 512);
	assert_int_equal(access_read(&rig, CONFIG(capacity), 4, 0), DISK_BYTES / 512);
	for (i = 0; i < 8; i++)
		assert_int_equal(access_read(&rig, CONFIG(capacity) + i, 1, 0),
				 (uint64_t)(DISK_BYTES / 512) >> (8 * i) & 0xff);
	assert_int_equal(access_read(&rig, CONFIG(seg_max), 4, 0), BLK_SEGMENTS_MAX);
	assert_int_equal(access_read(&rig, CONFIG(blk_size), 4, 0), 512);
	assert_int_equal(access_read(&rig, CONFIG(num_queues), 2, 0), 1);
	virtio_rig_stop(&rig);
}

static void cache_mode_is_the_drivers_choice_until_reset(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(access_read(&rig, CONFIG(wce), 1, 0), 1);
	assert_int_equal(virtio_mmio_write(&rig.blk.device, CONFIG(wce), 1, 0), 0);
	assert_int_equal(access_read(&rig, CONFIG(wce), 1, 0), 0);
	/* Written through now, by a flag that this file understands. */
	assert_int_equal(request(&rig, VIRTIO_BLK_T_OUT, 0, DATA, 512, false), VIRTIO_BLK_S_OK);
	/* Nothing else can be written. */
	assert_int_equal(virtio_mmio_write(&rig.blk.device, CONFIG(capacity), 8, 1), 0);
	assert_int_equal(access_read(&rig, CONFIG(capacity), 8, 0), DISK_BYTES / 512);
	virtio_rig_negotiate(&rig, 1u << VIRTIO_BLK_F_CONFIG_WCE);
	assert_int_equal(access_read(&rig, CONFIG(wce), 1, 0), 1);
	assert_int_equal(virtio_mmio_write(&rig.blk.device, CONFIG(wce), 1, 0), 0);
	assert_int_equal(access_read(&rig, CONFIG(wce), 1, 0), 1);
	virtio_rig_stop(&rig);
}

/* ---- negotiation -------------------------------------------------------------------------- */

static uint32_t negotiated(struct virtio_rig *rig, uint64_t features)
{
	const uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	reg_write(rig, VIRTIO_MMIO_STATUS, 0);
	reg_write(rig, VIRTIO_MMIO_STATUS, status);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	reg_write(rig, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return reg_read(rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void features_not_offered_are_refused(void **state)
{
	const uint64_t version = UINT64_C(1) << VIRTIO_F_VERSION_1;
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_int_equal(negotiated(&rig, version | 1u << VIRTIO_BLK_F_SECURE_ERASE), 0);
	assert_int_equal(negotiated(&rig, version | 1u << VIRTIO_BLK_F_RO), 0);
	assert_int_equal(negotiated(&rig, UINT64_C(1) << 63 | version), 0);
	assert_int_equal(negotiated(&rig, 0), 0);
	/* A driver that goes on all the same does not get the device to run. */
	reg_write(&rig, VIRTIO_MMIO_STATUS, RUNNING);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK, 0);
	assert_int_not_equal(negotiated(&rig, version), 0);
	/* Once agreed upon, features stay. */
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(&rig, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	assert_true(rig.blk.device.driver_features == version);
	virtio_rig_stop(&rig);
}

static void nothing_is_served_before_the_driver_says_so(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	virtio_rig_negotiate(&rig, 0);
	rig.blk.device.status &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), NO_STATUS);
	reg_write(&rig, VIRTIO_MMIO_STATUS, RUNNING);
	assert_int_equal(serve(&rig, 0), 1);
	virtio_rig_stop(&rig);
}

/* ---- queues ------------------------------------------------------------------------------- */

static uint32_t queue_accepts(struct virtio_rig *rig, uint32_t size, uint64_t descriptors,
			      uint64_t available, uint64_t used)
{
	uint32_t ready;

	reg_write(rig, VIRTIO_MMIO_QUEUE_READY, 0);
	reg_write(rig, VIRTIO_MMIO_QUEUE_NUM, size);
	reg_write(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)descriptors);
	reg_write(rig, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(descriptors >> 32));
	reg_write(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)available);
	reg_write(rig, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(available >> 32));
	reg_write(rig, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	reg_write(rig, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
	reg_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	ready = reg_read(rig, VIRTIO_MMIO_QUEUE_READY);
	return ready;
}

static void impossible_queues_do_not_become_ready(void **state)
{
	const uint64_t top = UINT64_MAX - 15;
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE);
	assert_int_equal(queue_accepts(&rig, 0, RING, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, 3, RING, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE * 2, RING, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, UINT32_MAX, RING, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING + 8, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING + 1, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING, RING + 2), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, top, RING, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, top, RING), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING, top), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING + 4096, RING + 8192), 1);
	virtio_rig_stop(&rig);
}

static void queues_that_are_not_there_do_nothing(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING, RING), 0);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
	assert_int_equal(queue_accepts(&rig, QUEUE_SIZE, RING, RING, RING), 0);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
	assert_int_equal(rig.notified, 0);
	assert_int_equal(serve(&rig, 1), 0);
	assert_int_equal(serve(&rig, UINT32_MAX), 0);
	virtio_rig_stop(&rig);
}

static void ring_in_use_does_not_move(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)BEYOND);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_NUM, 1);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), NO_STATUS);
	/* The registers did not change either: the same ring again, from its start. */
	reg_write(&rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(serve(&rig, 0), 2);
	virtio_rig_stop(&rig);
}

/* ---- reset -------------------------------------------------------------------------------- */

static void *reset_device(void *data)
{
	struct virtio_rig *rig = data;

	reg_write(rig, VIRTIO_MMIO_STATUS, 0);
	/* What the driver does next finds the device as it is after power-on. */
	assert_int_equal(reg_read(rig, VIRTIO_MMIO_STATUS), 0);
	__atomic_store_n(&rig->raised, -1, __ATOMIC_RELEASE);
	return NULL;
}

static void reset_is_answered_when_no_queue_is_served_any_more(void **state)
{
	struct virtio_rig rig;
	pthread_t driver;

	(void)state;
	virtio_rig_start(&rig, NULL);
	assert_non_null(virtio_queue_enter(&rig.blk.device, 0));
	assert_false(virtio_queue_leaving(&rig.blk.device));
	assert_int_equal(pthread_create(&driver, NULL, reset_device, &rig), 0);
	while (!virtio_queue_leaving(&rig.blk.device))
		usleep(100);
	usleep(20000);
	assert_int_not_equal(__atomic_load_n(&rig.raised, __ATOMIC_ACQUIRE), -1);
	virtio_queue_leave(&rig.blk.device, 0);
	assert_int_equal(pthread_join(driver, NULL), 0);
	rig.raised = 0;
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_works_after_reset(&rig);
	virtio_rig_stop(&rig);
}

static void queue_at_work_stays_ready_until_it_is_left(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	reg_write(&rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_non_null(virtio_queue_enter(&rig.blk.device, 0));
	reg_write(&rig, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_READY), 1);
	virtio_queue_leave(&rig.blk.device, 0);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_QUEUE_READY), 0);
	virtio_rig_stop(&rig);
}

/* ---- interrupts --------------------------------------------------------------------------- */

static void line_rises_once_until_it_is_acknowledged(void **state)
{
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	assert_int_equal(rig.raised, 1);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	reg_write(&rig, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rig.lowered, 0);
	reg_write(&rig, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(rig.lowered, 1);
	assert_int_equal(reg_read(&rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true);
	assert_int_equal(rig.raised, 2);
	reg_write(&rig, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(rig.lowered, 2);
	virtio_rig_stop(&rig);
}

static void driver_that_polls_gets_no_interrupt(void **state)
{
	const uint16_t flags = VRING_AVAIL_F_NO_INTERRUPT;
	struct virtio_rig rig;

	(void)state;
	virtio_rig_start(&rig, NULL);
	ram_write(&rig, RING + AVAILABLE, &flags, sizeof(flags));
	assert_int_equal(request(&rig, VIRTIO_BLK_T_IN, 0, DATA, 512, true), VIRTIO_BLK_S_OK);
	assert_int_equal(rig.raised, 0);
	virtio_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_tell_what_the_device_is),
		cmocka_unit_test(odd_accesses_are_refused),
		cmocka_unit_test(configuration_space_takes_any_width),
		cmocka_unit_test(cache_mode_is_the_drivers_choice_until_reset),
		cmocka_unit_test(features_not_offered_are_refused),
		cmocka_unit_test(nothing_is_served_before_the_driver_says_so),
		cmocka_unit_test(impossible_queues_do_not_become_ready),
		cmocka_unit_test(queues_that_are_not_there_do_nothing),
		cmocka_unit_test(ring_in_use_does_not_move),
		cmocka_unit_test(reset_is_answered_when_no_queue_is_served_any_more),
		cmocka_unit_test(queue_at_work_stays_ready_until_it_is_left),
		cmocka_unit_test(line_rises_once_until_it_is_acknowledged),
		cmocka_unit_test(driver_that_polls_gets_no_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
