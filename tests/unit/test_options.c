/* SPDX-License-Identifier: MIT */
/* Options: what each default is, what is refused and how that is said, callers of other ages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>
#include <lib/cache.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static char last_message[256];

static void keep_message(void *data, enum mapcache_log_level level, const char *message)
{
	*(enum mapcache_log_level *)data = level;
	snprintf(last_message, sizeof(last_message), "%s", message);
}

static int start_host(void **state)
{
	(void)state;
	return xensim_start(NULL);
}

static int stop_host(void **state)
{
	(void)state;
	return xensim_stop(stderr);
}

/* Open with these, note the settings, close. */
static int settle(struct mapcache_options options, struct settings *settings)
{
	struct mapcache *cache;
	int error;

	options.size = sizeof(options);
	error = mapcache_open(&options, &cache);
	if (error)
		return error;
	*settings = cache->settings;
	assert_int_equal(mapcache_close(cache), 0);
	return 0;
}

static struct settings settled(struct mapcache_options options)
{
	struct settings settings;

	assert_int_equal(settle(options, &settings), 0);
	return settings;
}

static void assert_refused(struct mapcache_options options, int error, const char *word)
{
	enum mapcache_log_level level = MAPCACHE_LOG_INFO;
	struct settings settings;

	last_message[0] = 0;
	options.log = keep_message;
	options.log_data = &level;
	assert_int_equal(settle(options, &settings), error);
	assert_int_equal(level, MAPCACHE_LOG_ERROR);
	assert_non_null(strstr(last_message, word));
	/* It says so to nobody as well. */
	options.log = NULL;
	assert_int_equal(settle(options, &settings), error);
}

static void the_defaults_suit_a_64_bit_dom0(void **state)
{
	struct settings settings = settled((struct mapcache_options){ .domid = 1 });
	unsigned long limit = 0;
	FILE *file;

	(void)state;
	if (sizeof(void *) < 8)
		skip();
	file = fopen("/proc/sys/vm/max_map_count", "r");
	assert_int_equal(fscanf(file, "%lu", &limit), 1);
	fclose(file);
	assert_int_equal(settings.bucket_shift, 20);
	assert_int_equal(settings.granule_shift, 14);
	assert_int_equal(settings.granules, 64);
	assert_int_equal(settings.granule_pages, 4);
	assert_int_equal(settings.bucket_pages, 256);
	assert_int_equal(settings.stripes, 64);
	assert_int_equal(settings.reclaim_ms, 40);
	assert_int_equal(settings.slots, 32 * GIB / MIB);
	assert_int_equal(settings.stale_max, 8 * GIB);
	assert_int_equal(settings.vmas_max, limit / 2);
	assert_int_equal(settings.guest_limit, UINT64_C(1) << 46);
	assert_int_equal(settings.flags, 0);
}

static void defaults_follow_the_size_of_a_bucket(void **state)
{
	struct settings settings;

	(void)state;
	for (uint32_t shift = 12; shift <= 30; shift++) {
		uint64_t bytes = UINT64_C(4) << shift;

		settings = settled(
			(struct mapcache_options){ .bucket_shift = shift, .max_bytes = bytes });
		assert_int_equal(settings.slots, 4);
		assert_int_equal(settings.stale_max, bytes);
		assert_int_equal(settings.granule_shift, shift < 14   ? shift
							 : shift < 20 ? 14
								      : shift - 6);
		assert_int_equal(settings.granules << settings.granule_shift, 1 << shift);
		/* 2^28 buckets, but no more than 2^46 bytes. */
		assert_int_equal(settings.guest_limit,
				 UINT64_C(1) << (shift + 28 < 46 ? shift + 28 : 46));
	}
	settings = settled((struct mapcache_options){ .bucket_shift = 12 });
	assert_int_equal(settings.slots, 32 * GIB >> 12);
	settings = settled((struct mapcache_options){ .bucket_shift = 30 });
	assert_int_equal(settings.slots, 32);
}

static void what_is_given_is_taken(void **state)
{
	struct settings settings = settled((struct mapcache_options){
		.bucket_shift = 21,
		.granule_shift = 16,
		.stripes = 4096,
		.reclaim_ms = 3600000,
		.max_bytes = 100 * MIB + 5, /* 50 whole buckets */
		.max_stale_bytes = 9 * MIB,
		.max_vmas = 64,
		.guest_limit = GIB + 1, /* and a bucket for the byte */
		.flags = MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_MEMBARRIER,
	});

	(void)state;
	assert_int_equal(settings.bucket_shift, 21);
	assert_int_equal(settings.granule_shift, 16);
	assert_int_equal(settings.stripes, 4096);
	assert_int_equal(settings.reclaim_ms, 3600000);
	assert_int_equal(settings.slots, 50);
	assert_int_equal(settings.stale_max, 9 * MIB);
	assert_int_equal(settings.vmas_max, 64);
	assert_int_equal(settings.guest_limit, GIB + 2 * MIB);
	assert_int_equal(settings.flags, MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_MEMBARRIER);
	assert_int_equal(settled((struct mapcache_options){ .stripes = 1 }).stripes, 1);
}

static void what_is_out_of_range_is_refused_and_named(void **state)
{
	static const uint32_t shifts[] = { 1, 11, 31, 64, UINT32_MAX };
	static const uint32_t stripes[] = { 3, 100, 4095, 8192, UINT32_MAX };

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		assert_refused((struct mapcache_options){ .bucket_shift = shifts[i] }, -EINVAL,
			       "bucket_shift");
		assert_refused((struct mapcache_options){ .stripes = stripes[i] }, -EINVAL,
			       "stripes");
	}
	assert_refused((struct mapcache_options){ .domid = 65536 + 1 }, -EINVAL, "domid");
	assert_refused((struct mapcache_options){ .granule_shift = 11 }, -EINVAL, "granule_shift");
	assert_refused((struct mapcache_options){ .granule_shift = 13 }, -EINVAL, "granule_shift");
	assert_refused((struct mapcache_options){ .granule_shift = 21 }, -EINVAL, "granule_shift");
	assert_refused((struct mapcache_options){ .bucket_shift = 14, .granule_shift = 11 },
		       -EINVAL, "granule_shift");
	assert_refused((struct mapcache_options){ .max_bytes = 4 * MIB - 1 }, -EINVAL, "max_bytes");
	assert_refused((struct mapcache_options){ .bucket_shift = 12,
						  .max_bytes = (UINT64_C(1) << 38) + 4096 },
		       -EINVAL, "max_bytes");
	assert_refused((struct mapcache_options){ .max_bytes = UINT64_MAX }, -EINVAL, "max_bytes");
	assert_refused((struct mapcache_options){ .max_stale_bytes = 4 * MIB - 1 }, -EINVAL,
		       "max_stale_bytes");
	assert_refused((struct mapcache_options){ .max_vmas = 63 }, -EINVAL, "max_vmas");
	assert_refused((struct mapcache_options){ .guest_limit = (UINT64_C(1) << 52) + 1 }, -EINVAL,
		       "guest_limit");
	assert_refused((struct mapcache_options){ .guest_limit = UINT64_MAX }, -EINVAL,
		       "guest_limit");
	assert_refused((struct mapcache_options){ .bucket_shift = 12,
						  .guest_limit = UINT64_C(1) << 45 },
		       -EINVAL, "guest_limit");
	assert_refused((struct mapcache_options){ .reclaim_ms = 3600001 }, -EINVAL, "reclaim_ms");
	assert_refused((struct mapcache_options){ .flags = 0x10 }, -EINVAL, "flags");
	assert_refused((struct mapcache_options){ .flags = 0x80000000u }, -EINVAL, "flags");
}

static void null_pointers_are_refused(void **state)
{
	struct mapcache_options options = { .size = sizeof(options) };
	struct mapcache *cache;

	(void)state;
	assert_int_equal(mapcache_open(NULL, &cache), -EINVAL);
	assert_int_equal(mapcache_open(&options, NULL), -EINVAL);
	assert_int_equal(mapcache_close(NULL), -EINVAL);
	assert_int_equal(mapcache_client_open(NULL, &(struct mapcache_client *){ NULL }), -EINVAL);
	assert_int_equal(mapcache_client_close(NULL), -EINVAL);
}

/* ---- callers of other ages ---------------------------------------------------------------- */

struct newer_options {
	struct mapcache_options known;
	uint64_t unknown[2];
};

static void a_newer_caller_that_uses_nothing_new_is_served(void **state)
{
	struct newer_options newer = { .known = { .size = sizeof(newer), .stripes = 8 } };
	struct mapcache *cache;

	(void)state;
	assert_int_equal(mapcache_open(&newer.known, &cache), 0);
	assert_int_equal(cache->settings.stripes, 8);
	assert_int_equal(mapcache_close(cache), 0);
	newer.unknown[1] = 1;
	assert_int_equal(mapcache_open(&newer.known, &cache), -E2BIG);
	newer.unknown[1] = UINT64_C(1) << 63;
	assert_int_equal(mapcache_open(&newer.known, &cache), -E2BIG);
}

/* What lies behind the size that it knows is not looked at. */
static void an_older_caller_gets_the_defaults_for_the_rest(void **state)
{
	struct mapcache_options older;
	struct mapcache *cache;

	(void)state;
	memset(&older, 0xff, sizeof(older));
	older.size = offsetof(struct mapcache_options, bucket_shift);
	older.domid = 1;
	older.flags = 0;
	assert_int_equal(mapcache_open(&older, &cache), 0);
	assert_int_equal(cache->settings.bucket_shift, sizeof(void *) < 8 ? 16 : 20);
	assert_int_equal(cache->settings.reclaim_ms, 40);
	assert_int_equal(mapcache_close(cache), 0);
	older.size = sizeof(older.size) - 1;
	assert_int_equal(mapcache_open(&older, &cache), -EINVAL);
	older.size = 0;
	assert_int_equal(mapcache_open(&older, &cache), -EINVAL);
}

/* ---- what open meets -------------------------------------------------------------------------- */

static void open_passes_on_what_the_backend_says(void **state)
{
	struct spy spy = { .refuse = -EACCES };
	struct mapcache_options options = { .size = sizeof(options),
					    .backend = &spy_backend,
					    .backend_data = &spy };
	struct mapcache_backend other = spy_backend;
	struct mapcache *cache;

	(void)state;
	assert_int_equal(mapcache_open(&options, &cache), -EACCES);
	assert_int_equal(spy.opens, 1);
	assert_int_equal(spy.closes, 0);
	other.size = offsetof(struct mapcache_backend, modified) - sizeof(other.modified);
	options.backend = &other;
	assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	/* Half of a pointer. */
	other.size = sizeof(other) - sizeof(other.room) / 2;
	assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	/* One that maps where it likes has one call for a bucket. */
	other.size = sizeof(other);
	other.flags = 0;
	options.bucket_shift = 20;
	options.granule_shift = 14;
	assert_int_equal(mapcache_open(&options, &cache), -EINVAL);
	assert_int_equal(spy.opens, 1);
	options.backend = NULL;
	xensim_fail(XENSIM_CALL_OPEN, 1, ENOENT);
	assert_int_equal(mapcache_open(&options, &cache), -ENOENT);
	assert_int_equal(bed_totals().handles_open, 0);
}

/* No machine has the address space for 2^26 buckets of 1 GiB. */
static void more_address_space_than_there_is_is_refused(void **state)
{
	struct mapcache_options options = { .size = sizeof(options),
					    .bucket_shift = 30,
					    .max_bytes = UINT64_C(1) << 56 };
	struct mapcache *cache;

	(void)state;
	assert_int_equal(mapcache_open(&options, &cache), -ENOMEM);
	options.max_bytes = 4 * GIB;
	options.guest_limit = UINT64_C(1) << 52;
	assert_int_equal(mapcache_open(&options, &cache), 0);
	assert_int_equal(mapcache_close(cache), 0);
}

static void the_version_is_the_headers(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", MAPCACHE_VERSION_MAJOR, MAPCACHE_VERSION_MINOR,
		 MAPCACHE_VERSION_PATCH);
	assert_string_equal(mapcache_version(), text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_suit_a_64_bit_dom0),
		cmocka_unit_test(defaults_follow_the_size_of_a_bucket),
		cmocka_unit_test(what_is_given_is_taken),
		cmocka_unit_test(what_is_out_of_range_is_refused_and_named),
		cmocka_unit_test(null_pointers_are_refused),
		cmocka_unit_test(a_newer_caller_that_uses_nothing_new_is_served),
		cmocka_unit_test(an_older_caller_gets_the_defaults_for_the_rest),
		cmocka_unit_test(open_passes_on_what_the_backend_says),
		cmocka_unit_test(more_address_space_than_there_is_is_refused),
		cmocka_unit_test(the_version_is_the_headers),
	};

	return cmocka_run_group_tests(tests, start_host, stop_host);
}
