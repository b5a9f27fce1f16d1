/* SPDX-License-Identifier: MIT */
/*
 * base: what every room stands on. The settings, the clock, the embedder's callbacks and
 * backend, messages to it, static probes, and how many bytes are mapped and stale.
 *
 * Lock: accounts.lock, innermost: nothing is called with it held.
 * Guarantees: H (messages are rate-limited, clocks cannot fail).
 * Above it: everybody.
 */
#ifndef MAPCACHE_BASE_H
#define MAPCACHE_BASE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The lists' assertions would abort the process (H). */
#define NDEBUG
#include <utlist.h>

#include <mapcache/mapcache.h>

#include "lib/base/settings.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* clock.c */
uint64_t clock_ns(void);
void clock_sleep_ns(uint64_t ns);
/* A call for so many granules has taken so long. */
void cost_note(struct mapcache *cache, struct cost *cost, uint64_t granules, uint64_t ns);
/* For who looks now and then whether others are done, less and less often; begins as zeroes. False:
 * so many ms are over. A negative number never is. */
struct clock_wait {
	uint64_t start, pause;
};
bool clock_wait(struct clock_wait *wait, int timeout_ms);

/* account.c: bytes mapped and stale */
/* Before anything is said: the embedder's callbacks are known, too. */
int base_init(struct mapcache *cache, const struct mapcache_options *options);
void base_destroy(struct mapcache *cache);
void account_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* Of a range of address space, the bytes that are in memory. */
uint64_t account_resident(const void *start, uint64_t bytes);
/* Address space that costs memory only where it is touched; for munmap(2). NULL: errno. */
void *account_reserve(uint64_t bytes, int prot);
/* So many bytes more are mapped, and so many more are current in the epoch; or fewer. */
void account_map(struct mapcache *cache, uint64_t epoch, uint64_t mapped, uint64_t current);
/* What was current in the epoch, and still is mapped, counts as stale from now on. */
static inline void account_retire(struct mapcache *cache, uint64_t epoch, uint64_t current)
{
	account_map(cache, epoch, 0, -current);
}
uint64_t account_stale(struct mapcache *cache);

/* embedder.c: any thread, with no lock of the library held */
/* Rate-limited: a guest decides how often things go wrong. The text has no newline. */
void log_message(struct mapcache *cache, enum mapcache_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What shows guest memory. */
void notify(struct mapcache *cache, enum mapcache_event event, uint64_t gpa, void *address,
	    uint64_t len);
/* Xen has said that there is no such domain. Told and logged once. */
void notify_gone(struct mapcache *cache);

/* worker.c: locks with a condition, and threads of ours that work now and then until they are told
 * to stop */
/* A lock, and a condition whose time-outs are of clock_ns(). -errno: neither. */
int waiting_init(pthread_mutex_t *lock, pthread_cond_t *condition);
void waiting_destroy(pthread_mutex_t *lock, pthread_cond_t *condition);

struct worker {
	pthread_mutex_t lock; /* protects stop, and what whoever has the worker says */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
};

/* After waiting_init(). -errno: it is not running. */
int worker_start(struct worker *worker, void *(*run)(void *data), void *data);
/* Waits for its end, if it was started. */
void worker_stop(struct worker *worker);
/* Its own, lock held: until then, or it is woken; UINT64_MAX: until it is woken. */
void worker_sleep(struct worker *worker, uint64_t until_ns);

/*
 * Cancellation (pthread_cancel(3)). A call that has begun to change something comes to its end
 * first: map calls of Xen's libraries sleep, the embedder's callbacks may do anything, and a
 * thread that left there would keep a bucket busy for ever. Where a call only waits for others
 * it can be left, holding nothing. Costs 20 ns or so; a hit does none of it.
 */
static inline int cancel_defer(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void cancel_restore(const int *before)
{
	int deferred;

	pthread_setcancelstate(*before, &deferred);
}

/* A declaration: from here to the end of the block the thread is not cancelled. */
#define CANCEL_DEFERRED                                                                            \
	int cancel_before __attribute__((cleanup(cancel_restore), unused)) = cancel_defer()

/* show.c: what rooms keep, a line of text or a JSON object each. Into memory, so that locks may be
 * held; show_begin() to show_end() is one. */
struct show {
	FILE *file;
	bool json;
	const char *kind;    /* of what is listed */
	const char *between; /* JSON: before the next one */
};
void show_begin(struct show *show, const char *name, uint64_t value);
void show_hex(struct show *show, const char *name, uint64_t value);
void show_number(struct show *show, const char *name, uint64_t value);
void show_flag(struct show *show, const char *name, bool value);
void show_end(struct show *show);

#endif
