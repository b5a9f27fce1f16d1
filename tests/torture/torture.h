/* SPDX-License-Identifier: MIT */
/*
 * Torture: guests that balloon, device models that access their memory through every call of
 * the library, toolstacks that change it from outside, all at once, and an oracle that knows for
 * every page what a look-up may see.
 *
 * A round is one simulated host with DOMAINS guests, each with CACHES caches and their ioreq
 * servers; rounds differ in their options. Rounds follow until enough accesses were checked.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bench/clock.h>
#include <bench/histogram.h>
#include <bench/random.h>
#include <tests/support/rig.h>

#define DOMAINS 2u
#define CACHES 2u  /* of a domain, for the whole round; visitors come and go besides */
#define VCPUS 2u   /* of a domain */
#define WORKERS 2u /* of a cache */
#define PAGE UINT64_C(4096)
#define RAM_PAGES UINT64_C(3072) /* 12 MiB: more than the smallest budgets hold */

struct domain;
struct device;
struct round;

/* ---- oracle.c: what a page may show ---------------------------------------------------- */

/*
 * In the middle of every page stands its stamp: which page of which guest it is, and a
 * generation that counts its changes. floor says what a look-up that starts now must find:
 * generation << 1 | settled. Not settled: the page is being changed, so it may also be a
 * hole or hold 0. Each change ends with a higher generation, so that equal floors before and
 * after an access mean that nothing happened to the page meanwhile.
 */
struct page {
	uint64_t floor;
	uint64_t strict;         /* the same for sections that are already running: after a drain */
	uint64_t answered_ns[4]; /* when a generation was first asked for, modulo 4 */
};

#define STAMP_OFFSET (PAGE / 2)
#define PAGE_SETTLED UINT64_C(1)

static inline uint64_t stamp_gpa(uint64_t page)
{
	return page * PAGE + STAMP_OFFSET;
}

/* Who changes a page: vCPU 0, vCPU 1, or the toolstack. */
#define PAGE_OWNERS (VCPUS + 1)
static inline unsigned int page_owner(uint64_t page)
{
	return (unsigned int)((page >> 2) % PAGE_OWNERS);
}

/*
 * How device models use it:
 *   exclusive  around the bucket boundaries of every size; one worker alone copies to and fro
 *   mailbox    workers write words, each its own
 *   plain      device models read it only, also in runs of three pages
 */
enum page_use { PAGE_PLAIN, PAGE_MAILBOX, PAGE_EXCLUSIVE };
static inline enum page_use page_use(uint64_t page)
{
	if ((page + 2) % 512 < 4)
		return PAGE_EXCLUSIVE;
	return page % 4 == 2 ? PAGE_MAILBOX : PAGE_PLAIN;
}

/* The changer's side, in this order. page_replaced(): the answers are in. */
void page_change(struct domain *domain, uint64_t page);
void page_replaced(struct domain *domain, uint64_t page, bool drained);
uint64_t page_next_stamp(struct domain *domain, uint64_t page);
void page_settle(struct domain *domain, uint64_t page);

/* The accessor's side. */
uint64_t page_floor(struct domain *domain, uint64_t page);
bool page_untouched(struct domain *domain, uint64_t page, uint64_t floor);

/* Whoever checks: workers, visitors, device models' handlers. */
struct witness {
	struct device *device;
	struct domain *domain;
	uint64_t random;
	uint64_t checked, refused; /* refused: look-ups that failed with an error that may be */
	struct histogram late; /* ns after the answer at which a section still used old memory */
	uint64_t late_pins;    /* how often a pin did, as it may for ever */
	const char *doing;
};

/* A look-up that began when the floor was this has found value / failed with error. */
void judge_value(struct witness *witness, uint64_t page, uint64_t floor, uint64_t value);
void judge_error(struct witness *witness, uint64_t page, uint64_t floor, int error, bool write);
/* The same pointer again: first is what it showed first. */
void judge_again(struct witness *witness, uint64_t page, uint64_t first, uint64_t value,
		 uint64_t strict, bool pinned);
/* A word written by a look-up that began when the floor was this must be the guest's. */
void judge_write(struct witness *witness, uint64_t page, uint64_t floor, uint64_t gpa,
		 uint64_t value);
/* That is not what was to happen: tell, and end the process. */
void fail(struct witness *witness, uint64_t page, const char *what, uint64_t expected,
	  uint64_t found) __attribute__((noreturn));

/* ---- one round -------------------------------------------------------------------------- */

struct domain {
	struct round *round;
	unsigned int number;
	struct rig rig; /* as device models see it */
	struct xensim_domain *guest;
	bool drain;            /* its servers answer after sections have been drained */
	uint32_t pace_us;      /* longest pause of its programs; 0: a storm */
	uint64_t turns[VCPUS]; /* hypercalls that each vCPU has finished */
	struct page page[RAM_PAGES];
	pthread_mutex_t devices_lock; /* protects what follows; held during silent changes */
	struct device *devices;
};

#define SHOWN 65536u
#define PARCELS 16u
struct parcel {
	void *pointer;
	uint64_t page, first;
	size_t written; /* bytes from the pointer on */
};

/* A cache with its server, and what its users share. */
struct device {
	struct domain *domain;
	struct device *next;
	unsigned int number;
	struct mapcache_options options;
	struct mapcache *cache;
	struct rig_device model;
	bool tight; /* budgets so small that look-ups may be refused */
	bool visitor;
	bool anywhere;        /* its backend chooses where it maps */
	pthread_mutex_t lock; /* protects what follows: pins that change hands */
	struct parcel parcel[PARCELS];
	struct witness handler[VCPUS];
	uint64_t copied[VCPUS]; /* requests whose data was copied */
	struct mapcache_backend backend;
	pthread_mutex_t log_lock; /* one switches the log at a time */
	uint64_t log;             /* atomic: count of its switchings << 1 | on */
	uint64_t shown[SHOWN];    /* atomic; told.c */
};

struct worker {
	struct witness witness; /* first */
	struct mapcache_client *client;
	bool thread_client; /* it is the thread's own */
	pthread_t thread;
	unsigned int number; /* in its domain: which words are its own */
	uint64_t written;
	struct parcel held[4];
	uint64_t favourite; /* first page of the run that it pins in one piece; 0: none yet */
	uint64_t least;     /* accesses that it checks, however many the others do */
	uint64_t told;      /* of those checked, what the round knows of */
};

struct round {
	uint64_t number, seed, accesses;
	enum xensim_arch arch;
	bool faults, jitter;
	pthread_mutex_t faults_lock; /* held while unmapping must not fail: it is not tried again */
	bool stop_workers, stop_outside, stop_guests; /* atomic */
	uint64_t done;                                /* accesses checked by workers; atomic */
	uint64_t slow;                                /* steps of theirs that took long; atomic */
	uint64_t checked, refused;                    /* of those who have finished */
	struct histogram late;
	uint64_t late_pins;
	struct domain domain[DOMAINS];
	struct device device[DOMAINS][CACHES];
	struct worker worker[DOMAINS][CACHES * WORKERS];
	pthread_t toolstack[DOMAINS], visitor[DOMAINS], janitor;
};

/* What rounds and caches differ in. */
#define FEATURES(X)                                                                                \
	X(SHIFT_12, "buckets of 4 KiB")                                                            \
	X(SHIFT_16, "buckets of 64 KiB")                                                           \
	X(SHIFT_20, "buckets of 1 MiB")                                                            \
	X(SHIFT_21, "buckets of 2 MiB")                                                            \
	X(TIGHT, "tiny budgets")                                                                   \
	X(DRAIN, "answers after a drain")                                                          \
	X(ANYWHERE, "the backend chooses where")                                                   \
	X(FENCES, "without membarrier")                                                            \
	X(EMBEDDER, "without reclaim thread")                                                      \
	X(BATCHES, "with batches mapped")                                                          \
	X(STORM, "guest without a pause")                                                          \
	X(FAULTS, "rounds with injected faults")                                                   \
	X(ARM, "rounds with Arm's rules")
enum feature {
#define FEATURE_NAME(name, text) FEATURE_##name,
	FEATURES(FEATURE_NAME)
#undef FEATURE_NAME
		FEATURE_COUNT
};

struct torture {
	uint64_t seed, accesses, rounds;
	bool verbose;
	uint64_t checked, refused, invalidates, map_calls;
	uint64_t features[FEATURE_COUNT]; /* caches or rounds that had it */
	struct histogram late;
	uint64_t late_pins;
};

/* round.c */
void round_run(struct torture *torture, uint64_t number, uint64_t accesses);

/* device.c */
void device_open(struct device *device, struct domain *domain, unsigned int number,
		 uint64_t *random);
void device_close(struct device *device);
#define DEVICE_MMIO(number) (RIG_MMIO + (number)*PAGE)
#define DEVICE_PORT(number) (RIG_PORT + (number))

/* guest.c, outside.c, worker.c, visitor.c: what threads run */
void guest_program(struct xensim_vcpu *vcpu, void *domain);
void *toolstack_run(void *domain);
void *janitor_run(void *round);
void *worker_run(void *worker);
void *visitor_run(void *domain);
/* Anything that a client can do, once. */
void worker_step(struct worker *worker);
void worker_release(struct worker *worker);
void device_release_parcels(struct device *device);

/* told.c: what the library tells others. The log of modified pages, and who shows what. */
void told_options(struct device *device);
void log_switch(struct device *device, bool on);
/* Before anything is written that is to be reported; the state of the log. */
uint64_t log_begin(struct device *device);
/* All of it has been written and ended: reported by this thread, when the log was on throughout. */
void judge_reported(struct witness *witness, uint64_t log, uint64_t page, uint64_t pages);
/* A pointer in use shows the page; the embedder was told so, and of nothing else since. */
void judge_told(struct witness *witness, uint64_t page, const void *pointer);

/* victim.c: a thread that is cancelled somewhere. */
void cancel_somebody(struct worker *worker);

/* access.c, pins.c, replace.c */
#define RUN_PAGES 3u
/* Guest memory is shared with others who access it at the same time. */
static inline uint64_t read_word(const void *pointer)
{
	return __atomic_load_n((const uint64_t *)pointer, __ATOMIC_RELAXED);
}
static inline void write_word(void *pointer, uint64_t value)
{
	__atomic_store_n((uint64_t *)pointer, value, __ATOMIC_RELAXED);
}
/* One that nobody else writes. */
static inline uint64_t worker_word(struct worker *worker)
{
	return ++worker->written << 16 | worker->number;
}
/* RUN_PAGES pages, the last of which is the first of its bucket now and then. */
uint64_t any_run(struct worker *worker, uint64_t *floor);
bool run_untouched(struct witness *witness, uint64_t page, const uint64_t *floor,
		   unsigned int count);
void judge_run_error(struct witness *witness, uint64_t page, const uint64_t *floor,
		     unsigned int count, int error);
void pin_release(struct worker *worker, void *pointer, uint64_t page, size_t written);
void access_span(struct worker *worker);
void access_replace(struct worker *worker);
void access_section(struct worker *worker);
void access_write(struct worker *worker);
void access_pin(struct worker *worker);
void access_sgl(struct worker *worker);
void access_iov(struct worker *worker);
void access_read(struct worker *worker);
void access_copy(struct worker *worker);
void access_nonsense(struct worker *worker);

/* pages: three of four times one of those that everybody uses */
uint64_t any_page(uint64_t *random);
static inline bool one_in(uint64_t *random, uint64_t n)
{
	return random_below(random, n) == 0;
}
static inline bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}
static inline void set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}
void pause_us(uint64_t us);
/* For calls that cannot fail here. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			must_failed(__FILE__, __LINE__, #condition);                               \
	} while (0)
void must_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

#endif
