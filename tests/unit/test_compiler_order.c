/* SPDX-License-Identifier: MIT */
/*
 * The compiler's half of what membarrier(2) gives: a look-up reads entry and stamp after its section
 * was stored (B). Here every atomic access is a plain one, and the compiler is told to optimise: it
 * may do to them all that C11 allows with relaxed ones of different places, which with the builtins
 * today's compilers do not. What happens at the section's store is done by the handler of its fault.
 */
#define MAPCACHE_ATOMIC_PROVIDED
#include <stdint.h>

typedef uint64_t mapcache_atomic_u64;
typedef uint32_t mapcache_atomic_u32;
#define mapcache_load_relaxed(p) (*(p))
#define mapcache_load_own(p) (*(p))
#define mapcache_load_acquire(p) (*(p))
#define mapcache_store_release(p, v) (void)(*(p) = (v))
#define mapcache_hot_load_acquire(p) (*(p))
#define mapcache_hot_store_release(p, v) (void)(*(p) = (v))
#include <mapcache/inline.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define BUCKET_SHIFT 20
#define GRANULE_SHIFT 14
#define EPOCH UINT64_C(5)
#define BASE UINT64_C(0x7000) /* frame */
#define WORD (EPOCH << MAPCACHE_TAG_SHIFT | MAPCACHE_ENTRY_FULL | MAPCACHE_ENTRY_WRITABLE | BASE)

static struct {
	struct mapcache_shared shared;
	struct mapcache_entry entry;
	mapcache_atomic_u64 granule;
	struct mapcache_client_fast *fast; /* a page of its own, which cannot be written */
	size_t page;
	void (*at_the_store)(void);
	volatile sig_atomic_t faults;
} scene;

static void nothing(void)
{
}

static void hide(void)
{
	scene.entry.word = 0;
	scene.granule = 0;
}

static void invalidate(void)
{
	scene.shared.stamp++;
}

static void fault(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	if ((uintptr_t)info->si_addr - (uintptr_t)scene.fast >= scene.page || scene.faults++ ||
	    mprotect(scene.fast, scene.page, PROT_READ | PROT_WRITE))
		_exit(1);
	scene.at_the_store();
}

static void start(void (*at_the_store)(void))
{
	struct mapcache_client_fast fast = {
		.entry_shift = BUCKET_SHIFT - MAPCACHE_ENTRY_SHIFT,
		.bucket_mask = (UINT64_C(1) << BUCKET_SHIFT) - 1,
		.shared = &scene.shared,
		.table = &scene.entry,
		.granule_shift = GRANULE_SHIFT,
	};

	memset(&scene, 0, sizeof(scene));
	scene.page = (size_t)sysconf(_SC_PAGESIZE);
	scene.at_the_store = at_the_store;
	scene.shared.stamp = EPOCH;
	scene.shared.limit = scene.shared.granules_end = UINT64_C(1) << BUCKET_SHIFT;
	scene.shared.granules = (uintptr_t)&scene.granule;
	scene.entry.word = scene.granule = WORD;
	scene.fast =
		mmap(NULL, scene.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(scene.fast != MAP_FAILED);
	*scene.fast = fast;
	assert_int_equal(mprotect(scene.fast, scene.page, PROT_READ), 0);
}

typedef void *(*look_up)(struct mapcache_client *client);

/* By the fast path: a call on the other one would keep the compiler from reordering. */
static inline void begin(struct mapcache_client *client)
{
	if (((struct mapcache_client_fast *)client)->section)
		__builtin_unreachable();
	mapcache_begin_inline(client);
}

static __attribute__((noinline)) void *bucket(struct mapcache_client *client)
{
	void *pointer;

	begin(client);
	return mapcache_ptr_bucket(client, 0, 8, PROT_READ, &pointer) ? pointer : NULL;
}

static __attribute__((noinline)) void *granule(struct mapcache_client *client)
{
	void *pointer;

	begin(client);
	return mapcache_ptr_granule(client, 0, 8, PROT_READ, &pointer) ? pointer : NULL;
}

/* Whether it is found, when that happens at the section's store. */
static bool found(look_up look, void (*at_the_store)(void))
{
	struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO }, before;
	void *pointer;

	start(at_the_store);
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	pointer = look((struct mapcache_client *)scene.fast);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	assert_int_equal(scene.faults, 1);
	assert_true(scene.fast->section == EPOCH);
	assert_int_equal(munmap(scene.fast, scene.page), 0);
	assert_true(!pointer || pointer == (void *)(uintptr_t)(BASE << 12));
	return pointer;
}

static void B_a_buckets_entry_and_the_stamp_are_read_after_the_section_began(void **state)
{
	(void)state;
	assert_true(found(bucket, nothing));
	assert_false(found(bucket, hide));
	assert_false(found(bucket, invalidate));
}

static void B_a_granules_word_and_the_stamp_are_read_after_the_section_began(void **state)
{
	(void)state;
	assert_true(found(granule, nothing));
	assert_false(found(granule, hide));
	assert_false(found(granule, invalidate));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(B_a_buckets_entry_and_the_stamp_are_read_after_the_section_began),
		cmocka_unit_test(B_a_granules_word_and_the_stamp_are_read_after_the_section_began),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
