/* SPDX-License-Identifier: MIT */
/*
 * A guest is slow, and what mapcache-top shows, what the dump lists and what was logged say why:
 * four staged cases, told apart without knowing the program (docs/watching.md).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <examples/top/screen.h>
#include <tests/support/bed.h>

static const char hints[] = "Worth looking at";
static char path[64];

/* What somebody who watches has: a screen from two samples, a dump, the log. */
struct watch {
	const struct mapcache_published *page;
	struct sample before;
	char log[1024];
};

static void keep(void *data, enum mapcache_log_level level, const char *message)
{
	struct watch *watch = data;

	if (level <= MAPCACHE_LOG_WARNING)
		snprintf(watch->log, sizeof(watch->log), "%s", message);
}

static void watch_begin(struct watch *watch, struct mapcache *cache)
{
	snprintf(path, sizeof(path), "/tmp/mapcache-diagnose-%d", (int)getpid());
	assert_int_equal(mapcache_publish(cache, path, 0), 0);
	assert_int_equal(page_open(path, &watch->page), 0);
	assert_int_equal(page_read(watch->page, &watch->before), 0);
}

/* The part of the screen that says what the numbers mean. */
static char *watch_end(struct watch *watch, struct mapcache *cache)
{
	char *text = NULL, *found;
	struct sample now;
	size_t size;
	FILE *file;

	usleep(2000);
	assert_int_equal(mapcache_publish_now(cache), 0);
	assert_int_equal(page_read(watch->page, &now), 0);
	file = open_memstream(&text, &size);
	assert_non_null(file);
	screen_show(watch->page, &watch->before, &now, file, false);
	assert_int_equal(fclose(file), 0);
	page_close(watch->page);
	found = strstr(text, hints);
	assert_non_null(found);
	found = strdup(found);
	free(text);
	return found;
}

static char *dump_of(struct mapcache *cache)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_int_equal(mapcache_dump(cache, file), 0);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void a_cache_that_is_well_has_no_hints(void **state)
{
	struct watch watch;
	struct bed bed;
	char *text;

	(void)state;
	bed_start(&bed, BED_QUIET);
	watch_begin(&watch, bed.cache);
	for (uint64_t gfn = 0; gfn < 1024; gfn++)
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
	text = watch_end(&watch, bed.cache);
	assert_non_null(strstr(text, "nothing"));
	free(text);
	bed_stop(&bed);
}

/* ---- a slow handler --------------------------------------------------------------------------- */

static int serve_slowly(void *data, struct mapcache_client *client,
			struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	usleep(5000);
	return 0;
}

static void touch_registers(struct xensim_vcpu *vcpu, void *data)
{
	(void)data;
	for (unsigned int i = 0; i < 5; i++)
		(void)xensim_store(vcpu, RIG_MMIO, &i, sizeof(i));
}

static void a_slow_handler(void **state)
{
	struct rig_device_options options = { .handler = serve_slowly };
	struct rig_device device;
	struct watch watch;
	struct rig rig;
	char *text;

	(void)state;
	alarm(120);
	rig_start(&rig, NULL);
	rig_device_open(&device, &rig, &options);
	rig_device_serve(&device);
	watch_begin(&watch, rig.cache);
	rig_run(&rig, 0, touch_registers, NULL);
	text = watch_end(&watch, rig.cache);
	assert_non_null(strstr(text, "the handler is slow"));
	assert_non_null(strstr(text, "mapcache_ioreq_defer"));
	free(text);
	rig_device_close(&device);
	rig_stop(&rig);
	alarm(0);
}

/* ---- a leaked pin ----------------------------------------------------------------------------- */

static void a_leaked_pin(void **state)
{
	volatile uint64_t *leaked;
	struct watch watch;
	char *text, *dump;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	watch_begin(&watch, bed.cache);
	leaked = bed_pin(bed.client, 3 * BED_BUCKET);
	for (unsigned int i = 0; i < 5; i++) {
		mapcache_invalidate(bed.cache);
		mapcache_reclaim(bed.cache, UINT64_MAX);
	}
	text = watch_end(&watch, bed.cache);
	assert_non_null(strstr(text, "pins hold memory that the guest gave back"));
	dump = dump_of(bed.cache);
	assert_non_null(strstr(dump, "pinned 0x300000 epoch 1 age 5 "));
	free(text);
	free(dump);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)leaked, 0), 0);
	bed_stop(&bed);
}

/* ---- a section that does not end -------------------------------------------------------------- */

static void a_stuck_section(void **state)
{
	struct watch watch = { .log = "" };
	struct rig_options options = { .cache.flags = MAPCACHE_NO_RECLAIM_THREAD,
				       .cache.log = keep,
				       .cache.log_data = &watch };
	char *text, *dump, name[32];
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	snprintf(name, sizeof(name), "thread %d ", (int)getpid());
	watch_begin(&watch, bed.cache);
	(void)bed_read(bed.other, 0);
	mapcache_begin(bed.client);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 12; i++) {
		mapcache_reclaim(bed.cache, UINT64_MAX);
		usleep(100000);
	}
	text = watch_end(&watch, bed.cache);
	assert_non_null(strstr(text, "a section does not end"));
	assert_non_null(strstr(watch.log, name));
	dump = dump_of(bed.cache);
	assert_non_null(strstr(dump, name));
	assert_non_null(strstr(dump, " in_section epoch 1 holds_back_ms 1"));
	free(text);
	free(dump);
	mapcache_end(bed.client);
	bed_stop(&bed);
}

/* ---- a budget that is too small --------------------------------------------------------------- */

static void a_budget_too_small(void **state)
{
	struct rig_options options = { .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
						  .bucket_shift = 16,
						  .max_bytes = 24 << 16 } };
	struct watch watch;
	struct bed bed;
	char *text;

	(void)state;
	bed_start(&bed, &options);
	watch_begin(&watch, bed.cache);
	for (unsigned int round = 0; round < 20; round++) {
		for (uint64_t bucket = 0; bucket < 24; bucket++)
			(void)bed_read(bed.client, bucket << 16);
		(void)bed_read(bed.client, (24 + round) << 16);
	}
	text = watch_end(&watch, bed.cache);
	assert_non_null(strstr(text, "max_bytes is too small"));
	free(text);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_that_is_well_has_no_hints),
		cmocka_unit_test(a_slow_handler),
		cmocka_unit_test(a_leaked_pin),
		cmocka_unit_test(a_stuck_section),
		cmocka_unit_test(a_budget_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
