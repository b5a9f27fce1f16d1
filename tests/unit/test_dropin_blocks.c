/* SPDX-License-Identifier: MIT */
/*
 * RAM blocks other than main memory (a display's, ROMs) through the layer in examples/qemu: what
 * QEMU asks for once and keeps, what it unlocks without having locked it, what moves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "qemu_stage.h"

#define MAIN_PAGES 2048u
#define MIB (UINT64_C(1) << 20)
#define VIDEO (64 * MIB)
#define LEN (2 * MIB)
#define BAR UINT64_C(0xf0000000)

static uint8_t *start_with_block(bool dma, bool write)
{
	uint8_t *host;

	stage_start(MAIN_PAGES, NULL);
	stage_block_add(VIDEO, LEN);
	stage_populate(VIDEO, LEN);
	host = stage_map_block(VIDEO, LEN, dma, write);
	assert_non_null(host);
	stage_block_mapped(VIDEO, host);
	return host;
}

/* The owner's unlock comes when the block has left the list. */
static void stop_with_block(uint64_t offset, uint8_t *host)
{
	stage_block_remove(offset);
	xen_invalidate_map_cache_entry(host);
	stage_stop();
}

static void balloon(void)
{
	xen_invalidate_map_cache();
	stage_main_loop();
	stage_grace_period();
	for (int i = 0; i < 3; i++)
		mapcache_reclaim(stage.cache, UINT64_MAX);
}

static void put(uint8_t *pointer, uint64_t value)
{
	memcpy(pointer, &value, sizeof(value));
}

/* Whoever comes first says how it wants it, and everybody uses the pointer. */
static void a_block_is_for_writing_whoever_asks_first(void **state)
{
	(void)state;
	for (int dma = 0; dma < 2; dma++) {
		uint8_t *host = start_with_block(dma, false);

		assert_int_equal(stage_word(host), bed_value(VIDEO / BED_PAGE));
		put(host + MIB, 7);
		assert_int_equal(stage_guest(VIDEO + MIB), 7);
		stop_with_block(VIDEO, host);
	}
}

/* DMA into display memory: its unmapping unlocks a pointer that has had no lock of its own. */
static void an_unlock_inside_a_block_that_nobody_locked_does_nothing(void **state)
{
	(void)state;
	for (int dma = 0; dma < 2; dma++) {
		uint8_t *host = start_with_block(dma, true);

		xen_invalidate_map_cache_entry(host + MIB + 512);
		xen_invalidate_map_cache_entry(host + 0x3000);
		xen_invalidate_map_cache_entry(host);
		xen_invalidate_map_cache_entry(host);
		balloon();
		assert_int_equal(stage_word(host), bed_value(VIDEO / BED_PAGE));
		/* Nobody else has got its place. */
		for (uint64_t i = 0; i < 8; i++) {
			const uint8_t *other = stage_map(i * BED_BUCKET, 8, false, false);

			assert_true(other < host || other >= host + LEN);
		}
		stop_with_block(VIDEO, host);
	}
}

static void a_pointer_into_a_block_tells_the_blocks_offset(void **state)
{
	uint8_t *host = start_with_block(false, true);

	(void)state;
	for (uint64_t at = 0; at < LEN; at += 99991)
		assert_int_equal(xen_ram_addr_from_mapcache(host + at), VIDEO + at);
	assert_int_equal(xen_ram_addr_from_mapcache(host + LEN - 1), VIDEO + LEN - 1);
	stop_with_block(VIDEO, host);
}

static void a_block_stays_while_the_guest_balloons_and_main_memory_is_evicted(void **state)
{
	uint8_t *host = start_with_block(false, true);

	(void)state;
	put(host + 8, 3);
	for (unsigned int i = 0; i < 50; i++) {
		stage_exchange(i, i);
		balloon();
		assert_non_null(stage_map(i * BED_PAGE, 8, false, false));
	}
	assert_int_equal(stage_word(host + 8), 3);
	stop_with_block(VIDEO, host);
}

static void a_block_asked_for_again_is_the_same(void **state)
{
	uint8_t *host = start_with_block(false, true);

	(void)state;
	assert_ptr_equal(stage_map_block(VIDEO, LEN, true, false), host);
	assert_null(stage_map_block(VIDEO, LEN + MIB, false, true));
	stop_with_block(VIDEO, host);
}

static void a_block_that_is_gone_can_come_again(void **state)
{
	uint8_t *host = start_with_block(false, true);

	(void)state;
	stage_block_remove(VIDEO);
	xen_invalidate_map_cache_entry(host);
	assert_int_equal(xen_ram_addr_from_mapcache(host + 5 * MIB), RAM_ADDR_INVALID);
	stage_block_add(VIDEO, LEN);
	host = stage_map_block(VIDEO, LEN, false, true);
	assert_int_equal(stage_word(host), bed_value(VIDEO / BED_PAGE));
	stop_with_block(VIDEO, host);
}

/* Main memory is locked for DMA, up to its last byte. */
static void main_memory_is_not_taken_for_a_block(void **state)
{
	uint8_t *last;

	(void)state;
	stage_start(MAIN_PAGES, NULL);
	last = stage_map((MAIN_PAGES - 1) * BED_PAGE, BED_PAGE, true, true);
	stage_exchange(MAIN_PAGES - 1, 5);
	balloon();
	assert_int_equal(stage_word(stage_map((MAIN_PAGES - 1) * BED_PAGE, 8, false, false)), 5);
	xen_invalidate_map_cache_entry(last);
	stage_stop();
}

/* ---- a guest comes in ---------------------------------------------------------------------------- */

static uint8_t *start_incoming(uint64_t offset, uint64_t len)
{
	uint8_t *host;

	stage_start(MAIN_PAGES, NULL);
	stage_block_add(offset, len);
	assert_null(stage_map_block(offset, len, false, true));
	stage.incoming = true;
	host = stage_map_block(offset, len, false, true);
	assert_non_null(host);
	stage_block_mapped(offset, host);
	return host;
}

/* QEMU aligns the blocks to 256 KiB only, and asserts that the pointer stays the same. */
static void a_block_moves_to_its_bar_at_any_page_offset(void **state)
{
	static const uint64_t offsets[] = { VIDEO, VIDEO + MIB / 4, VIDEO + MIB / 16,
					    VIDEO + BED_PAGE };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t *host = start_incoming(offsets[i], LEN);

		put(host + MIB, 77);
		stage_populate(BAR, LEN);
		assert_ptr_equal(xen_replace_cache_entry(offsets[i], BAR, LEN), host);
		for (uint64_t at = 0; at < LEN; at += BED_PAGE)
			assert_int_equal(stage_word(host + at), bed_value((BAR + at) / BED_PAGE));
		/* QEMU looks the block up by it. */
		assert_int_equal(xen_ram_addr_from_mapcache(host + MIB + 5), offsets[i] + MIB + 5);
		stage.incoming = false;
		stage_runs(true);
		put(host, 3);
		assert_int_equal(stage_guest(BAR), 3);
		stop_with_block(offsets[i], host);
	}
}

static void a_block_that_nobody_asked_for_can_move(void **state)
{
	uint8_t *host;

	(void)state;
	stage_start(MAIN_PAGES, NULL);
	stage.incoming = true;
	stage_block_add(VIDEO, LEN);
	stage_populate(BAR, LEN);
	host = xen_replace_cache_entry(VIDEO, BAR, LEN);
	assert_int_equal(stage_word(host), bed_value(BAR / BED_PAGE));
	assert_ptr_equal(stage_map_block(VIDEO, LEN, false, true), host);
	stop_with_block(VIDEO, host);
}

static void a_block_that_cannot_move_stays_as_it_is(void **state)
{
	uint8_t *host = start_incoming(VIDEO, LEN);

	(void)state;
	put(host + MIB, 77);
	assert_null(xen_replace_cache_entry(VIDEO, BAR, LEN));
	assert_int_equal(stage.failure, -EFAULT);
	assert_int_equal(stage_word(host + MIB), 77);
	assert_null(xen_replace_cache_entry(VIDEO, BAR + 5, LEN));
	assert_null(xen_replace_cache_entry(VIDEO, BAR, 0));
	assert_null(xen_replace_cache_entry(VIDEO + 4 * MIB, BAR, UINT64_MAX - MIB));
	stop_with_block(VIDEO, host);
}

/* A balloon left a hole in main memory: that is no place for memory of our own. */
static void main_memory_gets_no_placeholder(void **state)
{
	(void)state;
	stage_start(MAIN_PAGES, NULL);
	stage_remove(300);
	stage.incoming = true;
	assert_null(stage_map(300 * BED_PAGE, 8, false, false));
	assert_null(stage_map(299 * BED_PAGE, 2 * BED_PAGE, true, true));
	stage_populate(300 * BED_PAGE, BED_PAGE);
	assert_int_equal(stage_word(stage_map(300 * BED_PAGE, 8, false, false)), bed_value(300));
	stage_stop();
}

static void pages_that_are_there_keep_their_contents(void **state)
{
	uint8_t *host;

	(void)state;
	stage_start(MAIN_PAGES, NULL);
	stage_block_add(VIDEO, LEN);
	stage_populate(VIDEO + 3 * BED_PAGE, 5 * BED_PAGE);
	stage_populate(VIDEO + LEN - BED_PAGE, BED_PAGE);
	stage.incoming = true;
	host = stage_map_block(VIDEO, LEN, false, true);
	assert_non_null(host);
	put(host, 11);
	put(host + 8 * BED_PAGE, 12);
	for (uint64_t page = 3; page < 8; page++)
		assert_int_equal(stage_word(host + page * BED_PAGE),
				 bed_value(VIDEO / BED_PAGE + page));
	assert_int_equal(stage_word(host + LEN - BED_PAGE),
			 bed_value((VIDEO + LEN) / BED_PAGE - 1));
	put(host + 4 * BED_PAGE, 13);
	assert_int_equal(stage_guest(VIDEO + 4 * BED_PAGE), 13);
	stop_with_block(VIDEO, host);
}

/* Two devices of which one's block ends where the other's begins, in one bucket. */
static void neighbours_get_placeholders_each(void **state)
{
	uint8_t *first = start_incoming(VIDEO, MIB / 2), *second;

	(void)state;
	stage_block_add(VIDEO + MIB / 2, MIB);
	second = stage_map_block(VIDEO + MIB / 2, MIB, false, true);
	assert_non_null(second);
	put(first, 1);
	put(second, 2);
	stage_populate(BAR, MIB / 2);
	assert_ptr_equal(xen_replace_cache_entry(VIDEO, BAR, MIB / 2), first);
	assert_int_equal(stage_word(first), bed_value(BAR / BED_PAGE));
	assert_int_equal(stage_word(second), 2);
	stage_block_remove(VIDEO + MIB / 2);
	xen_invalidate_map_cache_entry(second);
	stop_with_block(VIDEO, first);
}

static void no_placeholder_is_left_when_the_guest_runs(void **state)
{
	uint8_t *host = start_incoming(VIDEO, LEN);
	struct mapcache_client *client = mapcache_thread_client(stage.cache);
	uint64_t word;

	(void)state;
	put(host, 5);
	assert_int_equal(mapcache_read(client, VIDEO, &word, 8), 8);
	stage.incoming = false;
	stage_runs(true);
	assert_int_equal(mapcache_read(client, VIDEO, &word, 8), -EFAULT);
	/* Whoever has the pointer keeps it. */
	assert_int_equal(stage_word(host), 5);
	stage_populate(VIDEO, BED_PAGE);
	assert_int_equal(mapcache_read(client, VIDEO, &word, 8), 8);
	assert_int_equal(word, bed_value(VIDEO / BED_PAGE));
	stop_with_block(VIDEO, host);
}

/* ---- blocks that have moved, told by QEMU ------------------------------------------------------------ */

static hwaddr where(hwaddr offset, ram_addr_t size)
{
	(void)size;
	return offset >= VIDEO && offset < VIDEO + LEN ? offset - VIDEO + BAR : offset;
}

static void a_block_first_asked_for_after_it_moved_is_found(void **state)
{
	uint8_t *host;

	(void)state;
	stage_start(MAIN_PAGES, where);
	stage_block_add(VIDEO, LEN);
	stage_populate(BAR, LEN);
	host = stage_map_block(VIDEO, LEN, false, true);
	assert_int_equal(stage_word(host + MIB), bed_value((BAR + MIB) / BED_PAGE));
	assert_int_equal(xen_ram_addr_from_mapcache(host + 5), VIDEO + 5);
	stop_with_block(VIDEO, host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_for_writing_whoever_asks_first),
		cmocka_unit_test(an_unlock_inside_a_block_that_nobody_locked_does_nothing),
		cmocka_unit_test(a_pointer_into_a_block_tells_the_blocks_offset),
		cmocka_unit_test(a_block_stays_while_the_guest_balloons_and_main_memory_is_evicted),
		cmocka_unit_test(a_block_asked_for_again_is_the_same),
		cmocka_unit_test(a_block_that_is_gone_can_come_again),
		cmocka_unit_test(main_memory_is_not_taken_for_a_block),
		cmocka_unit_test(a_block_moves_to_its_bar_at_any_page_offset),
		cmocka_unit_test(a_block_that_nobody_asked_for_can_move),
		cmocka_unit_test(a_block_that_cannot_move_stays_as_it_is),
		cmocka_unit_test(main_memory_gets_no_placeholder),
		cmocka_unit_test(pages_that_are_there_keep_their_contents),
		cmocka_unit_test(neighbours_get_placeholders_each),
		cmocka_unit_test(no_placeholder_is_left_when_the_guest_runs),
		cmocka_unit_test(a_block_first_asked_for_after_it_moved_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
