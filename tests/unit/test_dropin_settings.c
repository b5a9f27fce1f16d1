/* SPDX-License-Identifier: MIT */
/* XEN_MAPCACHE, limits on address space, and a start that cannot be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mapcache-settings.h"
#include "qemu_stage.h"

#define GIB (UINT64_C(1) << 30)

static void settings_are_the_options_of_the_library(void **state)
{
	struct mapcache_options options = { .size = sizeof(options) };
	const char *wrong = NULL;

	(void)state;
	assert_int_equal(settings_parse(NULL, &options, &wrong), 0);
	assert_int_equal(settings_parse("", &options, &wrong), 0);
	assert_int_equal(options.max_bytes, 0);
	assert_int_equal(settings_parse("max-bytes=2G,reclaim-ms=100,max-mappings=3K,"
					"max-stale-bytes=0x100M,bucket-shift=18,granule-shift=12",
					&options, &wrong),
			 0);
	assert_int_equal(options.max_bytes, 2 * GIB);
	assert_int_equal(options.reclaim_ms, 100);
	assert_int_equal(options.max_vmas, 3072);
	assert_int_equal(options.max_stale_bytes, GIB / 4);
	assert_int_equal(options.bucket_shift, 18);
	assert_int_equal(options.granule_shift, 12);
}

static void what_is_not_understood_is_named(void **state)
{
	static const char *const texts[] = { "x=1",
					     "reclaim-ms",
					     "reclaim-ms=",
					     "reclaim-ms=-1",
					     "reclaim-ms=1Q",
					     "reclaim-ms=5G",
					     "max-bytes=99999999999999999999",
					     "max-bytes=1GG",
					     "max-bytes=17179869184G",
					     "=",
					     "=5",
					     ",," };

	(void)state;
	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct mapcache_options options = { .size = sizeof(options) };
		const char *wrong = NULL;

		assert_int_equal(settings_parse(texts[i], &options, &wrong), -EINVAL);
		assert_ptr_equal(wrong, texts[i]);
		assert_int_equal(options.reclaim_ms, 0);
	}
}

/* In a process of its own: exit status of function. */
static int in_child(void (*function)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		function();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void start_with_settings(void)
{
	setenv("XEN_MAPCACHE", "max-bytes=64M,bucket-shift=16", 1);
	stage_start(1024, NULL);
	if (!stage_map(0, 8, false, false) || stage_stats().mapped_bytes != 65536)
		_exit(2);
	stage_stop();
}

static void start_with_wrong_settings(void)
{
	setenv("XEN_MAPCACHE", "max-byts=64M", 1);
	stage_start(16, NULL);
}

static void start_with_settings_that_are_refused(void)
{
	setenv("XEN_MAPCACHE", "bucket-shift=3", 1);
	stage_start(16, NULL);
}

static void the_environment_sets_them_and_a_wrong_one_ends_the_start(void **state)
{
	(void)state;
	assert_int_equal(in_child(start_with_settings), 0);
	assert_int_equal(in_child(start_with_wrong_settings), EXIT_FAILURE);
	assert_int_equal(in_child(start_with_settings_that_are_refused), EXIT_FAILURE);
}

/* ---- address space ------------------------------------------------------------------------------- */

static void limit_address_space(uint64_t soft, uint64_t hard, bool root)
{
	struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };

	if (setrlimit(RLIMIT_AS, &limit) || (!root && geteuid() == 0 && setuid(65534)))
		_exit(3);
}

static void use(uint64_t most)
{
	if (!stage.domain)
		stage_start(8 * 256, NULL);
	if (stage_word(stage_map(5 * BED_PAGE, 8, false, false)) != bed_value(5) ||
	    (most && !stage_map(7 * BED_BUCKET, 8, true, true)))
		_exit(2);
	_exit(0);
}

static void start_with_a_soft_limit(void)
{
	limit_address_space(4 * GIB, RLIM_INFINITY, false);
	use(0);
}

static void start_with_a_hard_limit(void)
{
	limit_address_space(8 * GIB, 8 * GIB, false);
	use(1);
}

static void start_with_a_narrow_limit(void)
{
	limit_address_space(3 * GIB / 2, 3 * GIB / 2, false);
	use(1);
}

/* Whoever may lift it (CAP_SYS_RESOURCE) does. */
static void start_as_root_with_a_hard_limit(void)
{
	struct rlimit limit, none = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	bool privileged;

	limit_address_space(8 * GIB, 8 * GIB, true);
	privileged = !setrlimit(RLIMIT_AS, &none);
	limit_address_space(8 * GIB, 8 * GIB, true);
	stage_start(8 * 256, NULL);
	if (getrlimit(RLIMIT_AS, &limit) || (limit.rlim_cur == RLIM_INFINITY) != privileged)
		_exit(2);
	use(0);
}

static void start_without_room(void)
{
	stage.domain = NULL;
	if (xensim_start(NULL) || xensim_domain_create(1, 0, 16, &stage.domain))
		_exit(4);
	limit_address_space(UINT64_C(100) << 20, UINT64_C(100) << 20, false);
	xen_map_cache_init(NULL, NULL);
}

static void a_limit_on_address_space_is_lifted_or_kept_to(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer needs all the address space there is\n");
	skip();
#endif
	assert_int_equal(in_child(start_with_a_soft_limit), 0);
	assert_int_equal(in_child(start_with_a_hard_limit), 0);
	assert_int_equal(in_child(start_with_a_narrow_limit), 0);
	assert_int_equal(in_child(start_without_room), EXIT_FAILURE);
	if (geteuid() == 0)
		assert_int_equal(in_child(start_as_root_with_a_hard_limit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_the_options_of_the_library),
		cmocka_unit_test(what_is_not_understood_is_named),
		cmocka_unit_test(the_environment_sets_them_and_a_wrong_one_ends_the_start),
		cmocka_unit_test(a_limit_on_address_space_is_lifted_or_kept_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
