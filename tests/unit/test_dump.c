/* SPDX-License-Identifier: MIT */
/*
 * mapcache_dump() and mapcache_dump_json(): every statistic and every bucket is in them, in a
 * form that people and programs read.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/locks.h>

typedef int (*dump_function)(struct mapcache *cache, FILE *file);

static char *dump(struct mapcache *cache, dump_function function)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_int_equal(function(cache, file), 0);
	assert_int_equal(fclose(file), 0);
	return text;
}

/* ---- JSON, by its grammar: the end of a value, or NULL --------------------------------- */

static const char *json_value(const char *text);

static const char *json_space(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static const char *json_string(const char *text)
{
	if (*text++ != '"')
		return NULL;
	while (*text && *text != '"' && *text != '\\' && (unsigned char)*text >= ' ')
		text++;
	return *text == '"' ? text + 1 : NULL;
}

static const char *json_number(const char *text)
{
	const char *digits = text + (*text == '-');
	const char *end = digits + strspn(digits, "0123456789");

	return end > digits && (*digits != '0' || end == digits + 1) ? end : NULL;
}

/* The members of an object or the items of an array. */
static const char *json_members(const char *text, char close, bool named)
{
	text = json_space(text);
	if (*text == close)
		return text + 1;
	for (;;) {
		text = json_space(text);
		if (named) {
			text = json_string(text);
			if (!text || *(text = json_space(text)) != ':')
				return NULL;
			text++;
		}
		text = json_value(text);
		if (!text)
			return NULL;
		text = json_space(text);
		if (*text == close)
			return text + 1;
		if (*text++ != ',')
			return NULL;
	}
}

static const char *json_value(const char *text)
{
	text = json_space(text);
	if (*text == '{')
		return json_members(text + 1, '}', true);
	if (*text == '[')
		return json_members(text + 1, ']', false);
	if (*text == '"')
		return json_string(text);
	if (!strncmp(text, "true", 4))
		return text + 4;
	if (!strncmp(text, "false", 5))
		return text + 5;
	return json_number(text);
}

static void assert_json(const char *text)
{
	const char *end = json_value(text);

	if (!end || *json_space(end))
		fail_msg("not JSON: %s", text);
}

static unsigned int occurrences(const char *text, const char *word)
{
	unsigned int count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

/* ---- tests ------------------------------------------------------------------------------ */

static void every_statistic_is_in_both_forms_with_its_value(void **state)
{
	struct mapcache_stats stats;
	char *text, *json, line[128];
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, BED_PAGE);
	text = dump(bed.cache, mapcache_dump);
	json = dump(bed.cache, mapcache_dump_json);
	stats = bed_stats(&bed);
	assert_json(json);
	*strstr(json, "bucket_shift") = '\0';
	/* The memory of the library depends on what the kernel has given so far. */
#define CHECK(name, meaning)                                                                       \
	snprintf(line, sizeof(line), "%-24s %20llu  %s\n", #name, (unsigned long long)stats.name,  \
		 meaning);                                                                         \
	if (strcmp(#name, "memory_bytes") && !strstr(text, line))                                  \
		fail_msg("not there: %s", line);                                                   \
	snprintf(line, sizeof(line), "\"%s\": %llu", #name, (unsigned long long)stats.name);       \
	if (strcmp(#name, "memory_bytes") && !strstr(json, line))                                  \
		fail_msg("not there: %s", line);                                                   \
	assert_int_equal(occurrences(json, "\"" #name "\":"), 1);
	MAPCACHE_STATISTICS(CHECK)
#undef CHECK
	free(text);
	free(json);
	bed_stop(&bed);
}

static void every_bucket_is_in_both_forms(void **state)
{
	struct rig_options options = { .ram_pages = 4096,
				       .cache.flags = MAPCACHE_NO_RECLAIM_THREAD };
	volatile uint64_t *pin;
	char *text, *json;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	for (uint64_t bucket = 0; bucket < 16; bucket++)
		bed_read(bed.client, bucket * BED_BUCKET);
	pin = bed_pin(bed.client, 7 * BED_BUCKET);
	text = dump(bed.cache, mapcache_dump);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_int_equal(occurrences(text, "\nbucket 0x"), 15); /* and 0 */
	assert_int_equal(occurrences(text, "\nbucket 0 "), 1);
	assert_int_equal(occurrences(json, "\"gpa\""), 16);
	assert_int_equal(occurrences(json, "\"pins\": 1,"), 1);
	assert_non_null(strstr(json, "\"gpa\": \"0x700000\", \"busy\": false, \"epoch\": 1"));
	assert_int_equal(occurrences(text, " pins 1"), 1);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0), 0);
	free(text);
	free(json);
	bed_stop(&bed);
}

/* Kept, stale and pinned, a pin's own. */
static void every_contiguous_mapping_is_in_both_forms(void **state)
{
	volatile uint64_t *stale, *kept, *own;
	char *text, *json;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	stale = bed_pin_range(bed.client, BED_BUCKET - BED_PAGE, 2 * BED_PAGE, PROT_READ,
			      MAPCACHE_PIN_CONTIGUOUS);
	mapcache_invalidate(bed.cache);
	own = bed_pin_range(bed.client, 5 * BED_PAGE, BED_PAGE, PROT_READ,
			    MAPCACHE_PIN_OWN_MAPPING);
	for (uint64_t i = 1; i < 3; i++) {
		kept = bed_pin_range(bed.client, (i + 1) * BED_BUCKET - BED_PAGE, 2 * BED_PAGE,
				     PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
		assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)kept, 0), 0);
	}
	text = dump(bed.cache, mapcache_dump);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_int_equal(occurrences(text, "\nspan 0x"), 4);
	assert_non_null(strstr(text, "\nspan 0xff000 length 0x2000 epoch 1 address 0x"));
	assert_int_equal(occurrences(text, " pins 1 stale\n"), 1);
	assert_int_equal(occurrences(text, " pins 1 own\n"), 1);
	assert_int_equal(occurrences(text, " pins 0\n"), 2);
	assert_int_equal(occurrences(json, "\"length\": \"0x2000\""), 3);
	assert_int_equal(occurrences(json, "\"stale\": true"), 1);
	assert_int_equal(occurrences(json, "\"own\": true"), 1);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)stale, 0), 0);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)(uintptr_t)own, 0), 0);
	free(text);
	free(json);
	bed_stop(&bed);
}

static void a_stripe_of_many_buckets_is_shown_whole(void **state)
{
	struct rig_options options = {
		.cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD, .stripes = 1, .bucket_shift = 12 }
	};
	struct bed bed;
	char *json;

	(void)state;
	bed_start(&bed, &options);
	for (uint64_t gfn = 0; gfn < 1000; gfn++)
		bed_read(bed.client, gfn * BED_PAGE);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_int_equal(occurrences(json, "\"gpa\""), 1000);
	assert_non_null(strstr(json, "\"gpa\": \"0x3e7000\""));
	free(json);
	bed_stop(&bed);
}

static void an_empty_cache_gives_an_object_without_buckets(void **state)
{
	struct bed bed;
	char *json;

	(void)state;
	bed_start(&bed, BED_QUIET);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_non_null(strstr(json, "\"buckets\": []"));
	free(json);
	bed_stop(&bed);
}

static void dump_during_a_map_call(void *data, bool end, uint64_t gfn, size_t pages)
{
	char **json = ((void **)data)[1];

	(void)gfn;
	(void)pages;
	if (!end)
		*json = dump(((void **)data)[0], mapcache_dump_json);
}

static void a_bucket_being_mapped_is_shown_as_busy_without_waiting(void **state)
{
	char *json = NULL;
	struct bed bed;
	void *data[2];

	(void)state;
	bed_start(&bed, BED_QUIET);
	data[0] = bed.cache;
	data[1] = &json;
	xensim_set_map_hook(dump_during_a_map_call, data);
	bed_read(bed.client, BED_PAGE);
	xensim_set_map_hook(NULL, NULL);
	assert_non_null(json);
	assert_json(json);
	assert_non_null(strstr(json, "{\"gpa\": \"0\", \"busy\": true}"));
	free(json);
	bed_stop(&bed);
}

/* A look-up from inside the write: it needs the stripe's lock. */
struct slow_reader {
	struct bed *bed;
	unsigned int looks;
};

static ssize_t look_up_while_writing(void *cookie, const char *buffer, size_t size)
{
	struct slow_reader *reader = cookie;

	(void)buffer;
	mapcache_invalidate(reader->bed->cache);
	bed_read(reader->bed->other, 0);
	reader->looks++;
	return (ssize_t)size;
}

static void no_lock_is_held_while_writing(void **state)
{
	dump_function functions[] = { mapcache_dump, mapcache_dump_json };
	struct bed bed;
	struct slow_reader reader = { &bed, 0 };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		FILE *file;

		bed_start(&bed, BED_QUIET);
		bed_read(bed.client, 0);
		file = fopencookie(&reader, "w",
				   (cookie_io_functions_t){ .write = look_up_while_writing });
		assert_non_null(file);
		setvbuf(file, NULL, _IONBF, 0);
		assert_int_equal(functions[i](bed.cache, file), 0);
		assert_int_equal(fclose(file), 0);
		bed_stop(&bed);
	}
	assert_true(reader.looks >= 2);
}

static void what_a_pin_keeps_is_listed_with_its_age(void **state)
{
	size_t len = 2 * BED_BUCKET;
	volatile uint64_t *pin;
	char *text, *json;
	struct bed bed;
	void *span;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pin = bed_pin(bed.client, 3 * BED_BUCKET);
	span = mapcache_pin(bed.client, BED_PAGE, &len, PROT_READ, MAPCACHE_PIN_CONTIGUOUS);
	assert_non_null(span);
	mapcache_invalidate(bed.cache);
	mapcache_invalidate(bed.cache);
	mapcache_reclaim(bed.cache, UINT64_MAX);
	text = dump(bed.cache, mapcache_dump);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_non_null(strstr(text, "pinned 0x300000 epoch 1 age 2 address 0x"));
	assert_non_null(strstr(text, "span 0x1000 length 0x200000 epoch 1 address 0x"));
	assert_non_null(strstr(json, "\"gpa\": \"0x300000\", \"epoch\": 1, \"age\": 2"));
	free(text);
	free(json);
	mapcache_unpin(bed.cache, span, 0);
	mapcache_unpin(bed.cache, (void *)(uintptr_t)pin, 0);
	bed_stop(&bed);
}

struct told {
	unsigned int count;
	char message[256];
	struct mapcache *cache;
	unsigned int held; /* locks, meanwhile */
};

static void note(void *data, enum mapcache_log_level level, const char *message)
{
	struct told *told = data;

	if (level != MAPCACHE_LOG_WARNING || !strstr(message, "has been open"))
		return;
	told->count++;
	told->held += locks_held(told->cache);
	snprintf(told->message, sizeof(told->message), "%s", message);
}

static void a_section_that_holds_others_back_is_told_once_and_listed(void **state)
{
	struct told told = { .count = 0 };
	struct rig_options options = { .cache.flags = MAPCACHE_NO_RECLAIM_THREAD,
				       .cache.log = note,
				       .cache.log_data = &told };
	char thread[32], *text, *json;
	struct bed bed;

	(void)state;
	bed_start(&bed, &options);
	told.cache = bed.cache;
	snprintf(thread, sizeof(thread), "thread %d ", (int)getpid());
	mapcache_begin(bed.client);
	(void)bed_ptr(bed.client, 0, PROT_READ);
	mapcache_invalidate(bed.cache);
	for (int i = 0; i < 15; i++) {
		mapcache_reclaim(bed.cache, UINT64_MAX);
		usleep(100000);
	}
	assert_int_equal(told.count, 1);
	assert_int_equal(told.held, 0);
	assert_non_null(strstr(told.message, thread));
	assert_int_equal(bed_stats(&bed).long_sections, 1);
	text = dump(bed.cache, mapcache_dump);
	json = dump(bed.cache, mapcache_dump_json);
	assert_json(json);
	assert_int_equal(occurrences(text, " in_section epoch 1 holds_back_ms 1"), 1);
	assert_int_equal(occurrences(text, " holds_back_ms 0\n"), 1);
	free(text);
	free(json);
	mapcache_end(bed.client);
	text = dump(bed.cache, mapcache_dump);
	assert_int_equal(occurrences(text, " holds_back_ms 0\n"), 2);
	free(text);
	bed_stop(&bed);
}

static void a_file_that_fails_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct bed bed;

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	bed_start(&bed, BED_QUIET);
	assert_int_equal(mapcache_dump(bed.cache, full), -EIO);
	clearerr(full);
	assert_int_equal(mapcache_dump_json(bed.cache, full), -EIO);
	assert_int_equal(mapcache_dump_json(NULL, full), -EINVAL);
	assert_int_equal(mapcache_dump_json(bed.cache, NULL), -EINVAL);
	assert_int_equal(mapcache_dump(NULL, full), -EINVAL);
	assert_int_equal(mapcache_dump(bed.cache, NULL), -EINVAL);
	fclose(full);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_statistic_is_in_both_forms_with_its_value),
		cmocka_unit_test(every_bucket_is_in_both_forms),
		cmocka_unit_test(every_contiguous_mapping_is_in_both_forms),
		cmocka_unit_test(a_stripe_of_many_buckets_is_shown_whole),
		cmocka_unit_test(an_empty_cache_gives_an_object_without_buckets),
		cmocka_unit_test(a_bucket_being_mapped_is_shown_as_busy_without_waiting),
		cmocka_unit_test(no_lock_is_held_while_writing),
		cmocka_unit_test(what_a_pin_keeps_is_listed_with_its_age),
		cmocka_unit_test(a_section_that_holds_others_back_is_told_once_and_listed),
		cmocka_unit_test(a_file_that_fails_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
