/* SPDX-License-Identifier: MIT */
/*
 * The limits of the kernel, reached for real, each in a process of its own: as many kernel
 * mappings as there may be, all the address space there is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mapcache/mapcache.h>
#include <tests/xensim/xensim.h>

#define PAGE UINT64_C(4096)
#define TEST_SECONDS 120

/* In a child nothing of cmocka is to be used. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__,      \
				#condition, errno);                                                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct guest {
	struct xensim_domain *domain;
	struct mapcache *cache;
	struct mapcache_client *client;
};

static void start_guest(struct guest *guest, uint64_t pages)
{
	/* Pages that nobody touches cost nothing: no page tables are filled ahead. */
	const struct xensim_options host = { .machine_pages = pages + 1024, .no_populate = true };

	alarm(TEST_SECONDS);
	*guest = (struct guest){ .domain = NULL };
	must(!xensim_start(&host));
	must(!xensim_domain_create(1, 0, pages, &guest->domain));
}

static int open_cache(struct guest *guest, struct mapcache_options options)
{
	int error;

	options.size = sizeof(options);
	options.domid = xensim_domid(guest->domain);
	options.flags |= MAPCACHE_NO_RECLAIM_THREAD;
	error = mapcache_open(&options, &guest->cache);
	if (error)
		return error;
	error = mapcache_client_open(guest->cache, &guest->client);
	if (error)
		must(!mapcache_close(guest->cache));
	return error;
}

static void stop_guest(struct guest *guest)
{
	must(!mapcache_client_close(guest->client));
	must(!mapcache_close(guest->cache));
	must(!xensim_domain_destroy(guest->domain));
	must(!xensim_stop(stderr));
}

/* 0 or the errno of a look at one page. */
static int look(struct guest *guest, uint64_t page)
{
	int error = 0;

	mapcache_begin(guest->client);
	if (!mapcache_ptr(guest->client, page * PAGE, 8, PROT_READ))
		error = errno;
	must(!mapcache_end(guest->client));
	return error;
}

static struct mapcache_stats stats_of(struct guest *guest)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	must(!mapcache_stats(guest->cache, &stats));
	return stats;
}

/* The child's result is the test's. */
static void in_a_child(void (*run)(void))
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		run();
		fflush(stdout);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		print_error("signal %d\n", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void skip_where_sanitizers_need_the_same(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer needs mappings and address space itself\n");
	skip();
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	print_message("a sanitizer needs mappings and address space itself\n");
	skip();
#endif
#endif
}

/* ---- kernel mappings ----------------------------------------------------------------------- */

static uint64_t kernel_limit(void)
{
	unsigned long limit = 65530;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	if (file && fscanf(file, "%lu", &limit) != 1)
		limit = 65530;
	if (file)
		fclose(file);
	return limit;
}

/* Every other page: neighbours in the arena then are no neighbours in memory. */
static void map_beyond(struct guest *guest, uint64_t looks, uint64_t *refused)
{
	*refused = 0;
	for (uint64_t i = 0; i < looks; i++) {
		int error = look(guest, 2 * i);

		must(error == 0 || error == ENOMEM || error == EAGAIN);
		*refused += error != 0;
	}
}

/* Kernel mappings of the program's own, as many as there are. Shared: private ones are merged. */
static void *eat_mapping(void)
{
	void *page = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

static unsigned int eat_mappings(void **eaten, unsigned int most)
{
	unsigned int count = 0;

	while (count < most && (eaten[count] = eat_mapping()))
		count++;
	must(count < most);
	return count;
}

static void leave_some_to_the_process(struct guest *guest, uint64_t limit)
{
	uint64_t refused;
	void *page;

	/* Promised more than there is. */
	must(!open_cache(guest, (struct mapcache_options){ .bucket_shift = 12,
							   .max_bytes = 8 * limit * PAGE,
							   .max_vmas = 4 * limit }));
	map_beyond(guest, limit + 4000, &refused);
	must(refused == 0);
	page = eat_mapping();
	must(page && !munmap(page, PAGE));
	printf("limit %llu: %llu kernel mappings, %llu evictions\n", (unsigned long long)limit,
	       (unsigned long long)stats_of(guest).vmas,
	       (unsigned long long)stats_of(guest).evictions);
}

static void let_the_kernel_refuse(void)
{
	uint64_t limit = kernel_limit(), refused;
	void **eaten = calloc(limit, sizeof(*eaten)), *held[64];
	unsigned int count;
	struct guest guest;

	must(eaten);
	start_guest(&guest, 2 * (limit + 4000) + 64);
	leave_some_to_the_process(&guest, limit);
	for (unsigned int i = 0; i < 64; i++) {
		size_t len = 8;

		held[i] = mapcache_pin(guest.client, 2 * i * PAGE, &len, PROT_READ, 0);
		must(held[i]);
	}
	count = eat_mappings(eaten, (unsigned int)limit);
	/* What is mapped stays usable, what is not is served in its place or refused, */
	for (unsigned int i = 0; i < 64; i++) {
		int error = look(&guest, 2 * (limit + 3000 + i));

		must(look(&guest, 2 * i) == 0);
		must(error == 0 || error == ENOMEM || error == EAGAIN);
		must(!mapcache_unpin(guest.cache, held[i], 0));
	}
	/* and all of it can be unmapped. */
	mapcache_invalidate(guest.cache);
	if (mapcache_reclaim(guest.cache, UINT64_MAX))
		must(!mapcache_dump(guest.cache, stdout));
	must(mapcache_reclaim(guest.cache, UINT64_MAX) == 0);
	must(stats_of(&guest).vmas == 0);
	must(stats_of(&guest).lost_ranges == 0);
	while (count-- > 0)
		must(!munmap(eaten[count], PAGE));
	map_beyond(&guest, limit / 8, &refused);
	must(refused == 0);
	stop_guest(&guest);
}

static void keep_the_budget(void)
{
	uint64_t limit = kernel_limit(), looks = limit + 4000, refused;
	struct guest guest;

	start_guest(&guest, 2 * looks + 64);
	must(!open_cache(&guest, (struct mapcache_options){ .bucket_shift = 12,
							    .max_bytes = 4 * looks * PAGE }));
	map_beyond(&guest, looks, &refused);
	printf("budget %llu: %llu refused, %llu kernel mappings, %llu evictions\n",
	       (unsigned long long)limit / 2, (unsigned long long)refused,
	       (unsigned long long)stats_of(&guest).vmas,
	       (unsigned long long)stats_of(&guest).evictions);
	must(refused == 0);
	must(stats_of(&guest).vmas <= limit / 2);
	stop_guest(&guest);
}

static void keep_a_small_budget(void)
{
	uint64_t refused;
	struct guest guest;

	start_guest(&guest, 4096);
	must(!open_cache(&guest, (struct mapcache_options){ .bucket_shift = 16,
							    .granule_shift = 12,
							    .max_vmas = 64 }));
	for (unsigned int round = 0; round < 8; round++) {
		map_beyond(&guest, 2048, &refused);
		must(refused == 0);
		must(stats_of(&guest).vmas <= 64);
		mapcache_invalidate(guest.cache);
	}
	stop_guest(&guest);
}

static void the_kernels_limit_of_mappings_is_an_error_and_passes(void **state)
{
	(void)state;
	skip_where_sanitizers_need_the_same();
	in_a_child(let_the_kernel_refuse);
}

static void the_default_budget_stays_below_the_kernels_limit(void **state)
{
	(void)state;
	in_a_child(keep_the_budget);
}

static void a_small_budget_of_mappings_is_kept_and_everything_served(void **state)
{
	(void)state;
	in_a_child(keep_a_small_budget);
}

/* ---- address space ------------------------------------------------------------------------- */

static uint64_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	must(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit_to(uint64_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };

	must(!setrlimit(RLIMIT_AS, &limit));
}

static void open_with_less_and_less(void)
{
	const struct mapcache_options small = { .bucket_shift = 16,
						.max_bytes = UINT64_C(4) << 20,
						.guest_limit = UINT64_C(1) << 30 };
	uint64_t before, refused = 0, left;
	struct guest guest;
	int error;

	start_guest(&guest, 4096);
	before = address_space();
	/* 32 GiB of slots are not to be had; a few MiB are. */
	limit_to(before + (UINT64_C(64) << 20));
	must(open_cache(&guest, (struct mapcache_options){ .flags = 0 }) == -ENOMEM);
	must(address_space() == before);
	for (left = 0;; left += 64 * 1024) {
		limit_to(before + left);
		error = open_cache(&guest, small);
		if (!error)
			break;
		must(error == -ENOMEM);
		refused++;
	}
	printf("opened with %llu KiB, after %llu refusals\n", (unsigned long long)left >> 10,
	       (unsigned long long)refused);
	must(refused > 0);
	error = look(&guest, 5);
	must(error == 0 || error == ENOMEM);
	limit_to(RLIM_INFINITY);
	must(look(&guest, 5) == 0);
	stop_guest(&guest);
}

static void work_without_memory(void)
{
	uint64_t refused = 0, looks = 16384;
	void *eaten[64];
	struct guest guest;

	start_guest(&guest, looks);
	must(!open_cache(&guest, (struct mapcache_options){ .bucket_shift = 12,
							    .max_bytes = looks * PAGE * 2 }));
	must(look(&guest, 0) == 0);
	/* No further byte, and what malloc has in store is taken, too. */
	limit_to(1);
	for (size_t size = UINT64_C(1) << 26; size >= 16; size /= 2)
		while (malloc(size))
			;
	for (uint64_t page = 0; page < looks; page++) {
		int error = look(&guest, page);

		must(error == 0 || error == ENOMEM);
		refused += error != 0;
	}
	must(refused > 0);
	must(look(&guest, 0) == 0);
	must(mapcache_client_open(guest.cache, (struct mapcache_client **)&eaten[0]) == -ENOMEM);
	limit_to(RLIM_INFINITY);
	printf("%llu of %llu look-ups refused without memory\n", (unsigned long long)refused,
	       (unsigned long long)looks);
	for (uint64_t page = 0; page < looks; page++)
		must(look(&guest, page) == 0);
	stop_guest(&guest);
}

static void too_little_address_space_is_an_error_of_open(void **state)
{
	(void)state;
	skip_where_sanitizers_need_the_same();
	in_a_child(open_with_less_and_less);
}

static void without_memory_lookups_are_refused_and_later_served(void **state)
{
	(void)state;
	skip_where_sanitizers_need_the_same();
	in_a_child(work_without_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernels_limit_of_mappings_is_an_error_and_passes),
		cmocka_unit_test(the_default_budget_stays_below_the_kernels_limit),
		cmocka_unit_test(a_small_budget_of_mappings_is_kept_and_everything_served),
		cmocka_unit_test(too_little_address_space_is_an_error_of_open),
		cmocka_unit_test(without_memory_lookups_are_refused_and_later_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
