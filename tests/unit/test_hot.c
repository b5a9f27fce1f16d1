/* SPDX-License-Identifier: MIT */
/* Which granules are in use epoch after epoch, by what is asked for in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lib/fill/hot.h>

#define GRANULES 100000u

static const struct hot_cost cost = { .call = 40, .granule = 1 };

struct set {
	struct hots hots;
	uint64_t epoch;
	bool in[GRANULES]; /* this epoch's batches */
};

static struct set *open_set(void)
{
	struct set *set = calloc(1, sizeof(*set));

	assert_non_null(set);
	set->hots.all = calloc(HOT_MAX, sizeof(*set->hots.all));
	set->hots.number = calloc(GRANULES, sizeof(*set->hots.number));
	set->hots.granules = GRANULES;
	set->epoch = 1;
	return set;
}

static void close_set(struct set *set)
{
	free(set->hots.all);
	free(set->hots.number);
	free(set);
}

/* Takes all that is to be in a batch. Returns how many. */
static unsigned int begin(struct set *set)
{
	uint64_t granule[7];
	unsigned int count, all = 0;

	memset(set->in, 0, sizeof(set->in));
	hot_begin(&set->hots, ++set->epoch, &cost);
	while ((count = hot_take(&set->hots, granule, 7)) != 0) {
		all += count;
		for (unsigned int i = 0; i < count; i++) {
			assert_false(set->in[granule[i]]);
			set->in[granule[i]] = true;
		}
	}
	return all;
}

/* A use: in vain where no batch has it. */
static unsigned int use(struct set *set, uint64_t granule)
{
	if (set->in[granule])
		return 0;
	hot_ask(&set->hots, granule, set->epoch);
	return 1;
}

/* An epoch in which these are used: how many of them in vain. */
static unsigned int epoch(struct set *set, uint64_t first, unsigned int count)
{
	unsigned int asked = 0;

	begin(set);
	for (unsigned int i = 0; i < count; i++)
		asked += use(set, first + 64 * (uint64_t)i);
	return asked;
}

static void what_is_used_in_every_epoch_is_taken_and_tried_now_and_then(void **state)
{
	struct set *set = open_set();
	unsigned int asked = 0;

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		epoch(set, 5, 64);
	for (unsigned int i = 0; i < 1000; i++)
		asked += epoch(set, 5, 64);
	/* Each once in some hundred epochs. */
	assert_in_range(asked, 64, 2 * 1000);
	close_set(set);
}

static void what_is_used_no_more_goes(void **state)
{
	struct set *set = open_set();

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		epoch(set, 5, 64);
	assert_true(begin(set) > 60);
	for (unsigned int i = 0; i < 1500; i++)
		epoch(set, 5, 8);
	assert_in_range(begin(set), 6, 8);
	assert_in_range(set->hots.count, 8, 8);
	close_set(set);
}

static void what_is_used_once_is_not_taken(void **state)
{
	struct set *set = open_set();
	unsigned int taken = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		taken += begin(set);
		for (uint64_t j = 0; j < 16; j++)
			use(set, (i * 16 + j) * 37 % GRANULES);
	}
	assert_in_range(taken, 0, 10);
	close_set(set);
}

static void there_is_room_for_what_is_new(void **state)
{
	struct set *set = open_set();

	(void)state;
	for (uint64_t i = 0; i < HOT_MAX + 100; i++)
		hot_ask(&set->hots, 2 * i, set->epoch);
	assert_int_equal(set->hots.count, HOT_MAX);
	assert_false(hot_ask(&set->hots, 2 * HOT_MAX, set->epoch));
	/* Nobody asks for those again. */
	for (unsigned int i = 0; i < 70; i++)
		begin(set);
	assert_int_equal(set->hots.count, 0);
	hot_ask(&set->hots, 50003, set->epoch);
	assert_true(hot_ask(&set->hots, 50003, set->epoch));
	close_set(set);
}

static void what_was_refused_or_forgotten_is_not_taken(void **state)
{
	struct set *set = open_set();

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		epoch(set, 5, 64);
	hot_refuse(&set->hots, 5);
	hot_forget(&set->hots, 5 + 64);
	hot_forget(&set->hots, 5 + 64);
	hot_forget(&set->hots, GRANULES + 1);
	begin(set);
	assert_false(set->in[5]);
	assert_false(set->in[5 + 64]);
	assert_false(hot_ask(&set->hots, 5, set->epoch));
	assert_false(hot_ask(&set->hots, 5 + 64, set->epoch));
	for (unsigned int i = 0; i < 20; i++)
		epoch(set, 5, 64);
	assert_false(set->in[5]);
	assert_true(hot_ask(&set->hots, 5 + 64, set->epoch));
	close_set(set);
}

/* What has no number stays where it is. */
static void past_the_end_nothing_is_hot(void **state)
{
	struct set *set = open_set();

	(void)state;
	hot_ask(&set->hots, GRANULES, set->epoch);
	assert_int_equal(set->hots.count, 0);
	assert_false(hot_ask(&set->hots, GRANULES, set->epoch));
	assert_int_equal(begin(set), 0);
	close_set(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_in_every_epoch_is_taken_and_tried_now_and_then),
		cmocka_unit_test(what_is_used_no_more_goes),
		cmocka_unit_test(what_is_used_once_is_not_taken),
		cmocka_unit_test(there_is_room_for_what_is_new),
		cmocka_unit_test(what_was_refused_or_forgotten_is_not_taken),
		cmocka_unit_test(past_the_end_nothing_is_hot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
