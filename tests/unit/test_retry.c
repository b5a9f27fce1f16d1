/* SPDX-License-Identifier: MIT */
/* Outside of sections, who finds no room waits for others' sections to end: not for ever. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <lib/space/arena.h>
#include <tests/support/bed.h>

/* More clients than there are spare slots: the last one has none. */
#define CLIENTS (ARENA_SPARES + 1)

static void who_finds_no_room_is_told_so_in_the_end(void **state)
{
	struct mapcache_client *client[CLIENTS], *last;
	uint64_t value = 7;
	size_t len = 8;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16,
							  .max_bytes = 4 << 16,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (unsigned int i = 0; i < CLIENTS; i++)
		assert_int_equal(mapcache_client_open(bed.cache, &client[i]), 0);
	last = client[CLIENTS - 1];
	mapcache_begin(bed.other);
	for (uint64_t bucket = 0; bucket < 16; bucket++)
		(void)mapcache_ptr(bed.other, bucket << 16, 8, PROT_READ);
	assert_int_equal(mapcache_read(last, 30 << 16, &value, 8), -EAGAIN);
	assert_int_equal(value, 7);
	assert_null(mapcache_pin(last, 30 << 16, &len, PROT_READ, 0));
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(len, 8);
	assert_int_equal(mapcache_end(bed.other), 0);
	assert_int_equal(mapcache_read(last, 30 << 16, &value, 8), 8);
	assert_int_equal(value, bed_value(30 * 16));
	for (unsigned int i = 0; i < CLIENTS; i++)
		assert_int_equal(mapcache_client_close(client[i]), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_finds_no_room_is_told_so_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
