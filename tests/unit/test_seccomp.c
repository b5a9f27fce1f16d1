/* SPDX-License-Identifier: MIT */
/*
 * A process that lets go of what it can do once its cache is open: with a filter of system calls
 * that allows what mapcache(7) lists and nothing else, with no right to open files, and as
 * another user. And one that membarrier(2) is refused to from the start.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define GPA (5 * BED_PAGE)
#define CALLS 64u
#define FAILED 100
#define SKIPPED 101

/* A sanitizer makes calls of its own, which are in no list. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

/* ---- what the manual says ---------------------------------------------------------------- */

#define CALL(name)                                                                                 \
	{                                                                                          \
#name, SYS_##name                                                                  \
	}
/* For the numbers of those that the manual may name. */
static const struct {
	const char *name;
	unsigned int number;
} known_calls[] = {
	{ "_exit", SYS_exit },
	CALL(brk),
	CALL(clock_gettime),
	CALL(clock_nanosleep),
	CALL(close),
	CALL(exit_group),
	CALL(fcntl),
	CALL(futex),
	CALL(getpid),
	CALL(getrusage),
	CALL(prctl),
	CALL(gettid),
	CALL(ioctl),
	CALL(madvise),
	CALL(membarrier),
	CALL(mincore),
	CALL(mmap),
	CALL(mprotect),
	CALL(mremap),
	CALL(munmap),
	CALL(nanosleep),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sched_yield),
	CALL(write),
	{ "pread", SYS_pread64 },
};

static unsigned int call_number(const char *name)
{
	for (size_t i = 0; i < sizeof(known_calls) / sizeof(*known_calls); i++) {
		if (!strcmp(known_calls[i].name, name))
			return known_calls[i].number;
	}
	fail_msg("mapcache(7) names a system call that this test does not know: %s", name);
	return 0;
}

/* The items of the list under "System calls". */
static unsigned int listed[CALLS], listed_count;

static void read_manual(void)
{
	FILE *page = fopen("man/mapcache.7", "r");
	char line[256], name[64];
	bool there = false;

	assert_non_null(page);
	while (fgets(line, sizeof(line), page)) {
		if (!strncmp(line, ".S", 2))
			there = !strcmp(line, ".Ss System calls\n");
		if (there && sscanf(line, ".It Xr %63s 2", name) == 1) {
			assert_true(listed_count < CALLS);
			listed[listed_count++] = call_number(name);
		}
	}
	fclose(page);
	assert_true(listed_count > 5);
}

/* ---- filters ------------------------------------------------------------------------------- */

/* The calls get one answer, all others another one. */
static int filter(const unsigned int *numbers, unsigned int count, uint32_t answer, uint32_t others)
{
	struct sock_filter code[2 * CALLS + 2];
	struct sock_fprog program = { .filter = code };
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (unsigned int i = 0; i < count; i++) {
		code[n++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	/* On every thread, the reclaim thread included. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)
		       ? -errno
		       : 0;
}

/* For a message that says which call it was. */
static void say_the_call(int number, siginfo_t *info, void *context)
{
	char text[] = "system call 0000 is not in mapcache(7)\n";

	(void)number;
	(void)context;
	for (int i = 15, n = info->si_syscall; i >= 12; i--, n /= 10)
		text[i] = (char)('0' + n % 10);
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(FAILED);
}

/* ---- what a device model does --------------------------------------------------------------- */

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			static const char text[] = #condition " does not hold\n";                  \
			(void)!write(STDERR_FILENO, text, sizeof(text) - 1);                       \
			return FAILED;                                                             \
		}                                                                                  \
	} while (0)

/* Look-ups that hit, map, refresh and evict, pins, copies, invalidations, reclaim, drain. */
static int use(struct bed *bed)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct mapcache_client *client;
	uint64_t value, epoch = 0;
	size_t len;
	void *pin;

	EXPECT(mapcache_client_open(bed->cache, &client) == 0);
	for (unsigned int round = 0; round < 40; round++) {
		for (uint64_t bucket = 0; bucket < 32; bucket++) {
			uint64_t gpa = bucket * BED_BUCKET + GPA;

			EXPECT(mapcache_read(client, gpa, &value, 8) == 8);
			EXPECT(value == bed_value(gpa / BED_PAGE));
			EXPECT(mapcache_write(client, gpa, &value, 8) == 8);
		}
		len = 100;
		pin = mapcache_pin(client, GPA, &len, PROT_READ | PROT_WRITE, 0);
		EXPECT(pin);
		epoch = mapcache_invalidate(bed->cache);
		EXPECT(mapcache_unpin(bed->cache, pin, 0) == 0);
		EXPECT(mapcache_invalidate_range(bed->cache, 0, BED_BUCKET) == 0);
		(void)mapcache_reclaim(bed->cache, UINT64_MAX);
		EXPECT(mapcache_drain(bed->cache, epoch, 1000, MAPCACHE_DRAIN_PINS) == 0);
	}
	EXPECT(mapcache_stats(bed->cache, &stats) == 0);
	EXPECT(stats.evictions > 0 && stats.unmap_calls > 0 && stats.map_errors == 0);
	EXPECT(mapcache_client_close(client) == 0);
	return 0;
}

static void start(struct bed *bed)
{
	/* 16 slots for 32 buckets; with a reclaim thread, which is under the filter, too. */
	bed_start(bed, &(struct rig_options){
			       .ram_pages = 32 * 256,
			       .cache = { .max_bytes = 16 * BED_BUCKET, .reclaim_ms = 8 } });
}

static int close_all(struct bed *bed)
{
	EXPECT(mapcache_client_close(bed->client) == 0);
	EXPECT(mapcache_client_close(bed->other) == 0);
	EXPECT(mapcache_close(bed->cache) == 0);
	return 0;
}

static void in_a_child(int (*function)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(function());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static int use_with_the_calls_of_the_manual(void)
{
	struct sigaction action = { .sa_sigaction = say_the_call, .sa_flags = SA_SIGINFO };
	struct bed bed;
	int error;

	start(&bed);
	if (sigaction(SIGSYS, &action, NULL))
		return FAILED;
	error = filter(listed, listed_count, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP);
	if (error) {
		print_message("no filters of system calls here\n");
		return error == -EINVAL || error == -ENOSYS ? SKIPPED : FAILED;
	}
	error = use(&bed);
	return error ? error : close_all(&bed);
}

static void the_calls_that_the_manual_lists_are_all_that_is_needed(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	read_manual();
	in_a_child(use_with_the_calls_of_the_manual);
}

static int getpid_is_not_in_the_list(void)
{
	struct sigaction action = { .sa_sigaction = say_the_call, .sa_flags = SA_SIGINFO };
	unsigned int numbers[] = { SYS_write, SYS_exit_group };

	if (sigaction(SIGSYS, &action, NULL))
		return FAILED;
	if (filter(numbers, 2, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP))
		return SKIPPED;
	(void)syscall(SYS_getpid);
	return 0;
}

/* The control: the filter does stop what is not in its list. */
static void a_call_that_is_not_listed_is_noticed(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (SANITIZED)
		skip();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)!freopen("/dev/null", "w", stderr);
		_exit(getpid_is_not_in_the_list());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FAILED);
}

static int use_without_membarrier(void)
{
	unsigned int number = SYS_membarrier;
	struct bed bed;
	int error;

	if (filter(&number, 1, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW))
		return SKIPPED;
	EXPECT(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) == -1);
	start(&bed);
	error = use(&bed);
	return error ? error : close_all(&bed);
}

static void membarrier_refused_at_open_is_replaced_by_fences(void **state)
{
	(void)state;
	in_a_child(use_without_membarrier);
}

static int use_as_nobody(void)
{
	struct rlimit no_files = { 0, 0 };
	struct bed bed;
	int error;

	start(&bed);
	if (geteuid() == 0 && (chroot("/proc/self/fdinfo") || setgid(65534) || setuid(65534)))
		return FAILED;
	EXPECT(setrlimit(RLIMIT_NOFILE, &no_files) == 0);
	EXPECT(open("/", O_RDONLY) == -1);
	error = use(&bed);
	return error ? error : close_all(&bed);
}

static void privileges_and_the_right_to_open_files_can_be_dropped_after_open(void **state)
{
	(void)state;
	in_a_child(use_as_nobody);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_calls_that_the_manual_lists_are_all_that_is_needed),
		cmocka_unit_test(a_call_that_is_not_listed_is_noticed),
		cmocka_unit_test(membarrier_refused_at_open_is_replaced_by_fences),
		cmocka_unit_test(privileges_and_the_right_to_open_files_can_be_dropped_after_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
