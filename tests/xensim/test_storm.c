/* SPDX-License-Identifier: MIT */
/*
 * A whole machine: vCPUs that balloon and store, one that asks a device to read their words,
 * and a device model with the simplest map cache there is. With INVALIDATE heeded no word is
 * ever stale; with INVALIDATE answered but ignored the oracle says so.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "test_xensim.h"

#define PAGES 32u /* 0..15 are vCPU 0's, 16..31 vCPU 1's */
#define FIRST 600u
#define STEPS 400u

struct storm {
	struct model model;
	bool heed;
	volatile uint64_t *cached[PAGES];
	uint64_t fresh, stale, unknown;
	uint32_t running, asked;
};

static uint64_t gpa_of(uint64_t page)
{
	return (FIRST + page) * XENSIM_PAGE + 8 * (page & 1);
}

static void balloon_and_store(struct xensim_vcpu *vcpu, void *data)
{
	struct storm *storm = data;
	uint64_t i;

	/* However busy the machine is, the device has every page before it changes. */
	while (__atomic_load_n(&storm->asked, __ATOMIC_ACQUIRE) < PAGES)
		sched_yield();
	for (i = 0; i < STEPS; i++) {
		uint64_t page = xensim_vcpu_id(vcpu) * 16u + i * 7 % 16;
		uint64_t gfn = FIRST + page;

		xensim_oracle_store(vcpu, gpa_of(page), i << 32 | gfn);
		if (i % 3 == 0) {
			xensim_decrease_reservation(vcpu, &gfn, 1, 0);
			xensim_populate_physmap(vcpu, &gfn, 1, 0);
		} else if (i % 3 == 1) {
			xensim_exchange(vcpu, gfn);
		}
	}
	__atomic_fetch_sub(&storm->running, 1, __ATOMIC_RELEASE);
}

static void ask_device(struct xensim_vcpu *vcpu, void *data)
{
	struct storm *storm = data;
	uint64_t i;

	for (i = 0; __atomic_load_n(&storm->running, __ATOMIC_ACQUIRE) > 1; i++) {
		xensim_mmio_write(vcpu, MMIO, 8, i % PAGES);
		__atomic_fetch_add(&storm->asked, 1, __ATOMIC_RELEASE);
	}
	/* And it looks at every page when they have. */
	for (i = 0; i < PAGES; i++)
		xensim_mmio_write(vcpu, MMIO, 8, i);
	__atomic_fetch_sub(&storm->running, 1, __ATOMIC_RELEASE);
}

static void drop_cache(struct storm *storm)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++) {
		if (storm->cached[i])
			munmap((void *)storm->cached[i], XENSIM_PAGE);
		storm->cached[i] = NULL;
	}
}

static void look(struct storm *storm, uint64_t page)
{
	uint64_t since = xensim_oracle_now(), word;
	int err = 0;

	if (!storm->cached[page])
		storm->cached[page] = map_range(FIRST + page, 1, PROT_READ, &err);
	if (err) {
		munmap((void *)storm->cached[page], XENSIM_PAGE);
		storm->cached[page] = NULL;
		return;
	}
	word = __atomic_load_n(&storm->cached[page][page & 1], __ATOMIC_RELAXED);
	switch (xensim_oracle_check(guest, gpa_of(page), word, since)) {
	case 1:
		storm->fresh++;
		break;
	case 0:
		storm->stale++;
		break;
	default:
		storm->unknown++;
	}
}

static void serve(struct storm *storm)
{
	struct ioreq request;

	while (__atomic_load_n(&storm->running, __ATOMIC_ACQUIRE)) {
		int vcpu = model_take(&storm->model, 10, &request);

		if (vcpu < 0)
			continue;
		if (request.type == IOREQ_TYPE_COPY)
			look(storm, request.data % PAGES);
		else if (storm->heed)
			drop_cache(storm);
		model_answer(&storm->model, vcpu, 0);
	}
}

static void run_storm(struct storm *storm)
{
	storm->running = 3;
	model_open(&storm->model);
	assert_int_equal(
		xendevicemodel_map_io_range_to_ioreq_server(storm->model.dmod, (domid_t)guest_id,
							    storm->model.id, 1, MMIO, MMIO + 0xfff),
		0);
	assert_int_equal(xensim_vcpu_start(guest, 0, balloon_and_store, storm), 0);
	assert_int_equal(xensim_vcpu_start(guest, 1, balloon_and_store, storm), 0);
	assert_int_equal(xensim_vcpu_start(guest, 2, ask_device, storm), 0);
	serve(storm);
	drop_cache(storm);
	assert_int_equal(xensim_domain_shutdown(guest), 0);
	model_close(&storm->model);
	print_message("%lu fresh, %lu stale, %lu unknown\n", (unsigned long)storm->fresh,
		      (unsigned long)storm->stale, (unsigned long)storm->unknown);
	assert_int_equal(xensim_protocol_errors(), 0);
	assert_int_equal(totals_now().pages_held, 0);
}

static void a_heeded_invalidate_leaves_nothing_stale(void **state)
{
	struct storm storm = { .heed = true };

	(void)state;
	run_storm(&storm);
	assert_true(storm.fresh > 0);
	assert_int_equal(storm.stale, 0);
	/* Two of three steps take a page that was there. */
	assert_true(totals_now().invalidates_sent >= 2 * 2 * STEPS / 3 - 2);
}

static void an_ignored_invalidate_is_caught(void **state)
{
	struct storm storm = { .heed = false };

	(void)state;
	run_storm(&storm);
	assert_true(storm.stale > 0);
}

static int start_storm(void **state)
{
	const struct xensim_options options = { .jitter = true, .seed = 7 };

	(void)state;
	print_message("seed %u\n", 7u);
	return start_with(&options);
}

static int start_storm_arm(void **state)
{
	const struct xensim_options options = { .arch = XENSIM_ARM, .jitter = true, .seed = 8 };

	(void)state;
	print_message("seed %u\n", 8u);
	return start_with(&options);
}

const struct CMUnitTest storm_tests[] = {
	cmocka_unit_test_setup_teardown(a_heeded_invalidate_leaves_nothing_stale, start_storm,
					stop),
	cmocka_unit_test_setup_teardown(a_heeded_invalidate_leaves_nothing_stale, start_storm_arm,
					stop),
	cmocka_unit_test_setup_teardown(an_ignored_invalidate_is_caught, start_storm, stop),
};
const size_t storm_count = sizeof(storm_tests) / sizeof(storm_tests[0]);
