/* SPDX-License-Identifier: MIT */
/* The p2m: superpages, what changes send INVALIDATE, races. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include <bench/random.h>

#include "test_xensim.h"

#define KIB4 ((size_t)XENSIM_PAGE)

static int level_of(uint64_t gfn)
{
	int level;

	xensim_p2m(guest, gfn, NULL, &level);
	return level;
}

static uint64_t changes(void)
{
	return totals_now().invalidates_changes;
}

static void memory_comes_in_superpages_and_shatters(void **state)
{
	uint64_t one = 600;

	(void)state;
	assert_int_equal(level_of(600), 2);
	assert_int_equal(xensim_outside_decrease(guest, &one, 1), 1);
	assert_int_equal(level_of(601), 3);
	assert_int_equal(xensim_p2m(guest, 600, NULL, NULL), XENSIM_HOLE);
	assert_int_equal(level_of(100), 2);
	assert_int_equal(level_of(1024), 2);
}

static void removing_a_page_reports_it(void **state)
{
	uint64_t gfn = 600;

	(void)state;
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	assert_int_equal(changes(), 1);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 0);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	assert_int_equal(changes(), 1);
}

static void populate_over_memory_reports_nothing_on_x86(void **state)
{
	uint64_t gfn = 600, old, new;

	(void)state;
	xensim_p2m(guest, gfn, &old, NULL);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	xensim_p2m(guest, gfn, &new, NULL);
	assert_int_not_equal(old, new);
	assert_int_equal(changes(), 0);
	assert_int_equal(xensim_domain_pages(guest), RAM_PAGES);
}

static void populate_over_memory_reports_on_arm(void **state)
{
	uint64_t gfn = 600;
	struct model model;

	(void)state;
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	assert_int_equal(changes(), 0); /* nobody listens yet */
	model_open(&model);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	assert_int_equal(changes(), 1);
	gfn = 512; /* a table is replaced: its leaves are visited */
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 9), 1);
	assert_int_equal(level_of(600), 2);
	assert_int_equal(changes(), 2);
	model_close(&model);
}

static void a_table_without_leaves_is_replaced_silently_on_arm(void **state)
{
	uint64_t gfn[512];
	struct model model;
	unsigned int i;

	(void)state;
	model_open(&model);
	for (i = 0; i < 512; i++)
		gfn[i] = 512 + i;
	assert_int_equal(xensim_outside_decrease(guest, gfn, 512), 512);
	assert_int_equal(changes(), 512);
	assert_int_equal(level_of(512), 3);
	assert_int_equal(xensim_outside_populate(guest, gfn, 1, 9), 1);
	assert_int_equal(level_of(512), 2);
	assert_int_equal(changes(), 512);
	model_close(&model);
}

static void a_failed_shatter_is_spurious_on_arm(void **state)
{
	uint64_t gfn = 600;
	struct model model;

	(void)state;
	model_open(&model);
	xensim_fail_shatter(guest, 1);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 0);
	assert_int_equal(level_of(gfn), 2);
	assert_int_equal(changes(), 1);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	model_close(&model);
}

static void grants_go_without_a_report(void **state)
{
	uint64_t gfn = 600;

	(void)state;
	assert_int_equal(xensim_p2m_set_type(guest, gfn, 1, XENSIM_GRANT), 0);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	assert_int_equal(changes(), 0);
}

static void pages_come_back_where_they_were_contiguous(void **state)
{
	uint64_t gfn = 600, before, after;

	(void)state;
	xensim_p2m(guest, gfn, &before, NULL);
	xensim_outside_decrease(guest, &gfn, 1);
	xensim_outside_populate(guest, &gfn, 1, 0);
	xensim_p2m(guest, gfn, &after, NULL);
	assert_int_equal(before, after);
}

static int start_strict(void **state)
{
	const struct xensim_options options = { .strict = true };

	(void)state;
	return start_with(&options);
}

static int run_remove(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_remove_from_physmap(vcpu, *(uint64_t *)argument);
}

static int run_exchange(struct xensim_vcpu *vcpu, void *argument)
{
	return xensim_exchange(vcpu, *(uint64_t *)argument);
}

static void a_strict_host_keeps_pages_that_nobody_can_reach(void **state)
{
	uint64_t gfn = 600, pages = 0;
	struct call call = { .run = run_remove, .argument = &gfn };
	struct call refused = { .run = run_exchange, .argument = &gfn };

	(void)state;
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	xensim_domain_state(guest_id, &pages);
	assert_int_equal(pages, RAM_PAGES + 1);
	call_start(&refused, 0);
	assert_int_equal(call_finish(&refused), -EOPNOTSUPP);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
	call_start(&call, 0);
	assert_int_equal(call_finish(&call), -ENOENT);
	xensim_domain_state(guest_id, &pages);
	assert_int_equal(pages, RAM_PAGES + 1);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	assert_int_equal(xensim_outside_decrease(guest, &gfn, 1), 1);
	xensim_domain_state(guest_id, &pages);
	assert_int_equal(pages, RAM_PAGES + 1);
}

static void new_pages_hold_anything(void **state)
{
	uint64_t gfn = 600, word = 0;

	(void)state;
	xensim_guest_write(guest, gfn * KIB4, "dirt", 5);
	xensim_outside_decrease(guest, &gfn, 1);
	xensim_outside_populate(guest, &gfn, 1, 0);
	assert_int_equal(xensim_guest_read(guest, gfn * KIB4, &word, 8), 0);
	assert_int_equal(word, XENSIM_NEW_WORD);
}

static void guest_access_across_a_hole_copies_nothing(void **state)
{
	char buffer[8] = "before";

	(void)state;
	xensim_guest_write(guest, 17 * KIB4 - 4, "kept", 4);
	assert_int_equal(xensim_outside_remove(guest, 17), 1);
	assert_int_equal(xensim_guest_read(guest, 17 * KIB4 - 4, buffer, 8), -EFAULT);
	assert_string_equal(buffer, "before");
	assert_int_equal(xensim_guest_write(guest, 17 * KIB4 - 4, "written", 8), -EFAULT);
	assert_int_equal(xensim_guest_read(guest, 17 * KIB4 - 4, buffer, 4), 0);
	assert_memory_equal(buffer, "kept", 4);
}

static void populate_fails_when_the_host_is_full(void **state)
{
	struct xensim_domain *other;
	uint64_t free_pages = totals_now().pages_free, gfn = RAM_PAGES;

	(void)state;
	assert_int_equal(xensim_domain_create(1, 0, free_pages + 1, &other), -ENOMEM);
	assert_int_equal(totals_now().pages_free, free_pages);
	assert_int_equal(xensim_domain_create(1, 0, free_pages, &other), 0);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 0);
	xensim_domain_destroy(other);
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
}

/* ---- races ------------------------------------------------------------------------- */

#define RACE_FIRST 512u
#define RACE_PAGES 64u
#define RACE_STEPS 3000u

struct race {
	uint64_t seed;
	uint32_t wrong;
	uint32_t done;
};

/* Every store is read back by its own vCPU, while pages go, come and are replaced. A word that
 * is neither what was stored nor zero belongs to somebody else. */
static void race_store(struct xensim_vcpu *vcpu, void *data)
{
	struct race *race = data;
	uint64_t mark = (uint64_t)(xensim_vcpu_id(vcpu) + 1) << 56;
	uint64_t seed = race->seed + mark;
	unsigned int i;

	for (i = 0; i < RACE_STEPS; i++) {
		uint64_t gfn = RACE_FIRST + random_next(&seed) % RACE_PAGES;
		uint64_t gpa = gfn * KIB4 + xensim_vcpu_id(vcpu) * 64u;
		uint64_t word = mark | gpa, back;

		xensim_store(vcpu, gpa, &word, 8);
		xensim_load(vcpu, gpa, &back, 8);
		if (back != word && back && back != XENSIM_NEW_WORD && back != ~UINT64_C(0))
			__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&race->done, 1, __ATOMIC_RELEASE);
}

static void race_change(struct xensim_vcpu *vcpu, void *data)
{
	struct race *race = data;
	uint64_t seed = race->seed;
	unsigned int i;

	for (i = 0; i < RACE_STEPS; i++) {
		uint64_t gfn = RACE_FIRST + random_next(&seed) % RACE_PAGES;

		switch (random_next(&seed) % 3) {
		case 0:
			xensim_decrease_reservation(vcpu, &gfn, 1, 0);
			break;
		case 1:
			xensim_populate_physmap(vcpu, &gfn, 1, 0);
			break;
		default:
			xensim_exchange(vcpu, gfn);
		}
	}
	__atomic_fetch_add(&race->done, 1, __ATOMIC_RELEASE);
}

static void *race_map(void *data)
{
	struct race *race = data;
	uint64_t seed = race->seed ^ (uintptr_t)&seed;
	int err[8];

	do {
		uint64_t gfn = RACE_FIRST + random_next(&seed) % (RACE_PAGES - 8);
		volatile uint64_t *address = map_range(gfn, 8, PROT_READ, err);
		unsigned int i;

		for (i = 0; i < 8; i++) {
			uint64_t word = err[i] ? 0 : __atomic_load_n(&address[i * 512], 0);

			/* Guest words name their own address. */
			if (word && word != XENSIM_NEW_WORD &&
			    (word & 0xffffffffffff) != (gfn + i) * KIB4)
				__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
		}
		munmap((void *)address, 8 * KIB4);
	} while (__atomic_load_n(&race->done, __ATOMIC_ACQUIRE) < VCPUS);
	return NULL;
}

static void pages_never_change_hands_under_an_access(void **state)
{
	struct race race = { .seed = 0x9e3779b97f4a7c15 };
	pthread_t thread[2];
	struct xensim_totals totals;

	(void)state;
	print_message("seed %#lx\n", (unsigned long)race.seed);
	assert_int_equal(xensim_vcpu_start(guest, 0, race_store, &race), 0);
	assert_int_equal(xensim_vcpu_start(guest, 1, race_store, &race), 0);
	assert_int_equal(xensim_vcpu_start(guest, 2, race_change, &race), 0);
	pthread_create(&thread[0], NULL, race_map, &race);
	pthread_create(&thread[1], NULL, race_map, &race);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	wait_for(&race.done, VCPUS);
	totals = totals_now();
	assert_int_equal(race.wrong, 0);
	assert_int_equal(totals.foreign_pages, 0);
	assert_int_equal(totals.pages_held, 0);
	assert_int_equal(totals.pages_free + totals.pages_owned, 8192);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
#define ARM_TEST(name) cmocka_unit_test_setup_teardown(name, start_arm, stop)
const struct CMUnitTest p2m_tests[] = {
	TEST(memory_comes_in_superpages_and_shatters),
	TEST(removing_a_page_reports_it),
	TEST(populate_over_memory_reports_nothing_on_x86),
	ARM_TEST(populate_over_memory_reports_on_arm),
	ARM_TEST(a_table_without_leaves_is_replaced_silently_on_arm),
	ARM_TEST(a_failed_shatter_is_spurious_on_arm),
	TEST(grants_go_without_a_report),
	TEST(pages_come_back_where_they_were_contiguous),
	cmocka_unit_test_setup_teardown(a_strict_host_keeps_pages_that_nobody_can_reach,
					start_strict, stop),
	TEST(new_pages_hold_anything),
	TEST(guest_access_across_a_hole_copies_nothing),
	TEST(populate_fails_when_the_host_is_full),
	TEST(pages_never_change_hands_under_an_access),
};
const size_t p2m_count = sizeof(p2m_tests) / sizeof(p2m_tests[0]);
