/* SPDX-License-Identifier: MIT */
/*
 * Guarantee D: mapcache_invalidate() is wait-free and async-signal-safe: no lock, no
 * allocation, no walk, no system call.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/locks.h>
#include <tests/support/peer.h>

#define FEW_LOCKS                                                                                  \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.cache = { .stripes = 4, .flags = MAPCACHE_NO_RECLAIM_THREAD },                    \
	}

static void invalidate_goes_on_while_every_lock_is_held(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, FEW_LOCKS);
	bed_read(bed.client, 0);
	locks_take(bed.cache);
	for (uint64_t epoch = 2; epoch < 100; epoch++)
		assert_int_equal(mapcache_invalidate(bed.cache), epoch);
	assert_int_equal(mapcache_epoch(bed.cache), 99);
	locks_drop(bed.cache);
	bed_stop(&bed);
}

static void invalidate_goes_on_while_a_map_call_hangs(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct gate gate = GATE;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	peer_open(&peer, bed.cache);
	gate_close(&gate, 0, false);
	peer_start(&peer, peer_read, &look);
	gate_wait(&gate, 1);
	assert_int_equal(mapcache_invalidate(bed.cache), 2);
	assert_true(peer_busy(&peer));
	gate_open(&gate);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	bed_stop(&bed);
}

/* However much is mapped: not a map call, not an unmap call, not a byte more or less. */
static void invalidate_touches_nothing_that_is_mapped(void **state)
{
	struct xensim_totals before, after;
	struct mapcache_stats stats;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t gpa = 0; gpa < 4 * BED_BUCKET; gpa += BED_BUCKET)
		bed_read(bed.client, gpa);
	before = bed_totals();
	stats = bed_stats(&bed);
	assert_int_equal(stats.stale_bytes, 0);
	mapcache_invalidate(bed.cache);
	after = bed_totals();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(bed_stats(&bed).mapped_bytes, stats.mapped_bytes);
	assert_int_equal(bed_stats(&bed).stale_bytes, stats.mapped_bytes);
	assert_int_equal(bed_stats(&bed).memory_bytes, stats.memory_bytes);
	bed_stop(&bed);
}

/* ThreadSanitizer gives the child a thread of its own, which is not in strict mode and stays. */
#if defined(__SANITIZE_THREAD__)
#define HAS_OTHER_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_OTHER_THREADS 1
#endif
#endif
#ifndef HAS_OTHER_THREADS
#define HAS_OTHER_THREADS 0
#endif

/* In strict mode the kernel kills whoever makes another system call than read, write, exit. */
static void invalidate_makes_no_system_call(void **state)
{
	struct bed bed;
	int status;
	pid_t pid;

	(void)state;
	if (HAS_OTHER_THREADS)
		skip();
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	pid = fork();
	if (pid == 0) {
		uint64_t epoch = 0;

		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			_exit(77);
		for (unsigned int i = 0; i < 1000; i++)
			epoch = mapcache_invalidate(bed.cache);
		syscall(SYS_exit, epoch == 1001 ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		print_message("no seccomp here\n");
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	bed_stop(&bed);
}

/* ---- in a signal handler -------------------------------------------------------------------- */

static struct mapcache *signal_cache;
static uint64_t signal_count, signal_errors; /* atomic */

static void invalidate_on_signal(int number)
{
	uint64_t epoch = mapcache_invalidate(signal_cache);

	(void)number;
	if (mapcache_epoch(signal_cache) < epoch)
		__atomic_fetch_add(&signal_errors, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&signal_count, 1, __ATOMIC_RELAXED);
}

static void catch_signals(struct bed *bed)
{
	struct sigaction action = { .sa_handler = invalidate_on_signal, .sa_flags = SA_RESTART };

	signal_cache = bed->cache;
	signal_count = signal_errors = 0;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static void raise_in_the_map_call(void *data, bool end, uint64_t gfn, size_t pages)
{
	(void)data;
	(void)end;
	(void)gfn;
	(void)pages;
	raise(SIGUSR1);
}

static void a_signal_handler_may_invalidate_anywhere(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, FEW_LOCKS);
	catch_signals(&bed);
	xensim_set_map_hook(raise_in_the_map_call, NULL);
	mapcache_begin(bed.client);
	for (uint64_t gpa = 0; gpa < 4 * BED_BUCKET; gpa += BED_BUCKET)
		assert_int_equal(*bed_ptr(bed.client, gpa, PROT_READ), bed_value(gpa / BED_PAGE));
	assert_int_equal(mapcache_end(bed.client), 0);
	xensim_set_map_hook(NULL, NULL);
	assert_int_equal(mapcache_epoch(bed.cache), 1 + 8);
	locks_take(bed.cache);
	raise(SIGUSR1);
	locks_drop(bed.cache);
	assert_int_equal(mapcache_epoch(bed.cache), 1 + 9);
	assert_int_equal(signal_errors, 0);
	bed_stop(&bed);
}

#define SIGNALS 500u

struct interrupted {
	bool stop; /* atomic */
	uint64_t wrong, looks;
};

static int look_while_interrupted(struct peer *peer, void *data)
{
	struct interrupted *interrupted = data;

	while (!__atomic_load_n(&interrupted->stop, __ATOMIC_ACQUIRE)) {
		uint64_t gfn = interrupted->looks % 1024;
		struct peer_look look = { .gpa = gfn * BED_PAGE };
		int error = peer_read(peer, &look);

		interrupted->wrong += error ? error != -EAGAIN : look.value != bed_value(gfn);
		interrupted->looks++;
	}
	return 0;
}

static void signals_that_invalidate_may_interrupt_look_ups_at_any_instruction(void **state)
{
	struct interrupted interrupted = { .stop = false };
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, NULL);
	catch_signals(&bed);
	peer_open(&peer, bed.cache);
	peer_start(&peer, look_while_interrupted, &interrupted);
	for (unsigned int i = 0; i < SIGNALS; i++) {
		assert_int_equal(pthread_kill(peer.thread, SIGUSR1), 0);
		usleep(100);
	}
	__atomic_store_n(&interrupted.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(peer_wait(&peer), 0);
	peer_close(&peer);
	assert_true(signal_count > 0);
	assert_int_equal(mapcache_epoch(bed.cache), 1 + signal_count);
	assert_int_equal(interrupted.wrong, 0);
	assert_int_equal(signal_errors, 0);
	print_message("%llu look-ups, %llu signals\n", (unsigned long long)interrupted.looks,
		      (unsigned long long)signal_count);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invalidate_goes_on_while_every_lock_is_held),
		cmocka_unit_test(invalidate_goes_on_while_a_map_call_hangs),
		cmocka_unit_test(invalidate_touches_nothing_that_is_mapped),
		cmocka_unit_test(invalidate_makes_no_system_call),
		cmocka_unit_test(a_signal_handler_may_invalidate_anywhere),
		cmocka_unit_test(signals_that_invalidate_may_interrupt_look_ups_at_any_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
