/* SPDX-License-Identifier: MIT */
/* The oracle tells fresh from stale; jitter changes nothing but the order. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test_xensim.h"

#define GPA (600 * (uint64_t)XENSIM_PAGE)

struct step {
	uint64_t value;
	bool exchange;
};

static int run_step(struct xensim_vcpu *vcpu, void *argument)
{
	struct step *step = argument;

	return step->exchange ? xensim_exchange(vcpu, GPA >> 12)
			      : xensim_oracle_store(vcpu, GPA, step->value);
}

static void step(struct step step)
{
	struct call call = { .run = run_step, .argument = &step };

	call_start(&call, 0);
	assert_int_equal(call_finish(&call), 0);
}

static void a_value_is_over_when_the_next_store_has_returned(void **state)
{
	uint64_t since;

	(void)state;
	assert_int_equal(xensim_oracle_check(guest, GPA, 1, 0), -ENOENT);
	step((struct step){ .value = 1 });
	since = xensim_oracle_now();
	assert_int_equal(xensim_oracle_check(guest, GPA, 1, since), 1);
	assert_int_equal(xensim_oracle_check(guest, GPA, 7, since), 0);
	step((struct step){ .value = 2 });
	assert_int_equal(xensim_oracle_check(guest, GPA, 1, since), 1);
	since = xensim_oracle_now();
	assert_int_equal(xensim_oracle_check(guest, GPA, 1, since), 0);
	assert_int_equal(xensim_oracle_check(guest, GPA, 2, since), 1);
}

static void a_stale_mapping_is_found_out_after_the_answer(void **state)
{
	struct step exchange = { .exchange = true };
	struct call call = { .run = run_step, .argument = &exchange };
	struct model model;
	volatile uint64_t *stale;
	uint64_t since;

	(void)state;
	model_open(&model);
	step((struct step){ .value = 5 });
	stale = map_range(GPA >> 12, 1, PROT_READ, NULL);
	call_start(&call, 0);
	assert_int_equal(model_take(&model, 20000, NULL), 0);
	since = xensim_oracle_now(); /* not yet answered: both are fine */
	assert_int_equal(xensim_oracle_check(guest, GPA, *stale, since), 1);
	assert_int_equal(xensim_oracle_check(guest, GPA, XENSIM_NEW_WORD, since), 1);
	model_answer(&model, 0, 0);
	assert_int_equal(call_finish(&call), 0);
	since = xensim_oracle_now();
	assert_int_equal(*stale, 5);
	assert_int_equal(xensim_oracle_check(guest, GPA, *stale, since), 0);
	assert_int_equal(xensim_oracle_check(guest, GPA, XENSIM_NEW_WORD, since), 1);
	munmap((void *)stale, XENSIM_PAGE);
	model_close(&model);
}

static void silent_changes_make_it_forget(void **state)
{
	uint64_t gfn = GPA >> 12;

	(void)state;
	step((struct step){ .value = 5 });
	assert_int_equal(xensim_outside_populate(guest, &gfn, 1, 0), 1);
	assert_int_equal(xensim_oracle_check(guest, GPA, 5, xensim_oracle_now()), -ENOENT);
	step((struct step){ .exchange = true });
	step((struct step){ .value = 6 });
	assert_int_equal(xensim_oracle_check(guest, GPA, 6, xensim_oracle_now()), 1);
}

static void many_stores_since_are_not_judged(void **state)
{
	uint64_t since, value;

	(void)state;
	since = xensim_oracle_now();
	for (value = 1; value <= 20; value++)
		step((struct step){ .value = value });
	assert_int_equal(xensim_oracle_check(guest, GPA, 3, since), -ENOENT);
	assert_int_equal(xensim_oracle_check(guest, GPA, 3, xensim_oracle_now()), 0);
}

static int start_jitter(void **state)
{
	const struct xensim_options options = { .jitter = true, .seed = 42 };

	(void)state;
	return start_with(&options);
}

static void jitter_changes_no_result(void **state)
{
	uint64_t gfn = GPA >> 12, i;
	int err;

	(void)state;
	for (i = 0; i < 300; i++) {
		void *address = map_range(gfn, 1, PROT_READ, &err);

		assert_int_equal(err, 0);
		assert_int_equal(xensim_is_mapping_of(guest, address, GPA), 1);
		assert_int_equal(munmap(address, XENSIM_PAGE), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_x86, stop)
const struct CMUnitTest oracle_tests[] = {
	TEST(a_value_is_over_when_the_next_store_has_returned),
	TEST(a_stale_mapping_is_found_out_after_the_answer),
	TEST(silent_changes_make_it_forget),
	TEST(many_stores_since_are_not_judged),
	cmocka_unit_test_setup_teardown(jitter_changes_no_result, start_jitter, stop),
};
const size_t oracle_count = sizeof(oracle_tests) / sizeof(oracle_tests[0]);
