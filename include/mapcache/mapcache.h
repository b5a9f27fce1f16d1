/* SPDX-License-Identifier: MIT */
/*
 * libmapcache: a map cache for Xen device models.
 *
 * A cache maps the memory of one guest, bucket by bucket, on demand, and keeps the
 * mappings. INVALIDATE costs one atomic increment; what it made stale is refreshed on its
 * next use or unmapped later. A hit takes no lock and writes only its client's own cache line.
 *
 * Conventions
 *   - int functions return 0 (or a count) or -errno; pointer functions return NULL with
 *     errno set. A call that fails has changed nothing that its caller can see.
 *   - gpa: guest-physical address in bytes. len: bytes. prot: PROT_READ, PROT_WRITE or both
 *     (PROT_WRITE alone means both).
 *   - Option and statistics structs start with their size, so that a caller built against
 *     another version of this header is understood or refused, never misread.
 *
 * Guarantees (cited by letter in sources and tests; README.md has the same table)
 *   A  A look-up that starts after mapcache_invalidate() has returned never yields a mapping
 *      whose map call began before it.
 *   B  A pointer from mapcache_ptr() stays mapped until its section ends, a pinned one until
 *      it is unpinned, whatever is invalidated or evicted.
 *   C  A stale mapping that is still pinned serves its pinners only; other look-ups map
 *      afresh.
 *   D  mapcache_invalidate() is wait-free and async-signal-safe, however much is mapped
 *      (lock-free without atomic addition: 32 bits, arm64 before LSE).
 *   E  What is stale and unused is retired within reclaim_ms, or a second more in an idle
 *      cache, then unmapped as fast as the kernel does it, or by mapcache_reclaim().
 *   F  mapcache_drain() returns 0 only when no section or report of modified pages from
 *      before its epoch is left; with MAPCACHE_DRAIN_PINS no older pin either.
 *   G  No lock is held across a backend call: one that hangs holds up its caller, whoever
 *      wants its bucket, drain and unmapping; hits and invalidations go on.
 *   H  Nothing a guest, Xen or the kernel does aborts the process or makes its memory grow
 *      past the bounds set by the options.
 *   I  Every handle to Xen is opened by mapcache_open() or mapcache_ioreq_open(); numbers
 *      from a guest are checked before use.
 *   J  Nothing called inside a section waits for the section of another client to end.
 *
 * Threads
 *   A struct mapcache may be used by any thread. A struct mapcache_client belongs to one thread:
 *   the first that uses it, and when that has ended, whoever has joined it. After fork(2) a child
 *   may call mapcache_close() on an inherited cache and nothing else.
 *   A thread that is cancelled (pthread_cancel(3), deferred) is so where a call waits for others
 *   (look-ups for another thread's mapping of the same bucket, or outside of sections for room;
 *   drain, unmap and the switch of the log): it holds nothing there but the section and the pins
 *   that are its own. Every other call comes to its end first. Callbacks and backends must return:
 *   no longjmp(3), no pthread_exit(3), no exception.
 */
#ifndef MAPCACHE_MAPCACHE_H
#define MAPCACHE_MAPCACHE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <mapcache/backend.h>
#include <mapcache/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAPCACHE_VERSION_MAJOR 0
#define MAPCACHE_VERSION_MINOR 2
#define MAPCACHE_VERSION_PATCH 0

/* For #if: MAPCACHE_VERSION_CHECK(0, 1, 0) is whether this header is of 0.1.0 or newer. */
#define MAPCACHE_VERSION_NUMBER(major, minor, patch) ((major)*1000000 + (minor)*1000 + (patch))
#define MAPCACHE_VERSION_CHECK(major, minor, patch)                                                \
	(MAPCACHE_VERSION_NUMBER(MAPCACHE_VERSION_MAJOR, MAPCACHE_VERSION_MINOR,                   \
				 MAPCACHE_VERSION_PATCH) >=                                        \
	 MAPCACHE_VERSION_NUMBER(major, minor, patch))

/* The hit path is inlined, so headers and archive are of one version: others do not link. */
#define mapcache_open mapcache_open_0_2

/* Not to look at what these return is a mistake. NULL arguments are an error that every call
 * returns, hence no "nonnull": it would let the compiler drop the library's own checks. */
#define MAPCACHE_CHECKED __attribute__((warn_unused_result))

/* "MAJOR.MINOR.PATCH" of the library that was linked. Any thread, does not block. */
const char *mapcache_version(void);

struct mapcache;
struct mapcache_client;

/* Log levels, most urgent first. */
enum mapcache_log_level {
	MAPCACHE_LOG_ERROR = 0,
	MAPCACHE_LOG_WARNING = 1,
	MAPCACHE_LOG_INFO = 2,
};

/* mapcache_options.flags */
#define MAPCACHE_NO_RECLAIM_THREAD 0x1u /* the embedder calls mapcache_reclaim() itself */
#define MAPCACHE_NO_MEMBARRIER 0x2u     /* full fences in begin instead of membarrier(2) */
/* Look for misuse, and log it with its caller: pointers asked for outside of sections or by another
 * thread, no prot, pins given back twice. Every look-up takes locks then. */
#define MAPCACHE_DEBUG 0x4u
#define MAPCACHE_NO_BATCHES 0x8u /* each bucket is mapped by calls of its own */

/* What mapcache_options.notify is told of a part of this process' address space. */
enum mapcache_event {
	MAPCACHE_EVENT_ADDED = 0,    /* it shows guest memory now */
	MAPCACHE_EVENT_REMOVING = 1, /* it still does, but is about to show none, or other memory */
};

/* Guest-physical memory: [gpa, gpa + len). An Arm guest's begins at 1 GiB. */
struct mapcache_range {
	uint64_t gpa;
	uint64_t len;
};

/*
 * Zero everywhere but in size and domid means "the default", which suits a 64-bit dom0.
 */
struct mapcache_options {
	size_t size;              /* sizeof(struct mapcache_options) */
	uint32_t domid;           /* the guest whose memory is mapped */
	uint32_t flags;           /* MAPCACHE_NO_* */
	uint32_t bucket_shift;    /* log2 bytes of a bucket, 12..30; default 20 (32-bit: 16) */
	uint32_t granule_shift;   /* log2 bytes refreshed at once, 12..bucket_shift and at least
				     bucket_shift - 6; default 14, or the nearest allowed */
	uint32_t stripes;         /* locks, a power of two, 1..4096; default 64 */
	uint32_t reclaim_ms;      /* what is stale and unused is taken out of use within this
				     time of the first look-up that maps after the
				     INVALIDATE, or a second later without one; default 40 */
	uint64_t max_bytes;       /* address space for mappings, stale ones included, counted in
				     whole buckets, at least 4, and up to 64 more that clients
				     use when sections or pins hold all of it; default 32 GiB
				     (32-bit: 512 MiB), but no more than half of the free
				     memory where a page that is mapped costs the system one of
				     its own, as on an Arm dom0 without unpopulated-alloc, or
				     where that cannot be found out; the log then says so */
	uint64_t max_stale_bytes; /* past this the mapping path helps to unmap before it maps
				     (one invalidation makes everything stale at once); at
				     least 4 buckets; default a quarter of max_bytes */
	uint64_t max_vmas;        /* kernel mappings in use at once, at least 64; default half of
				     what vm.max_map_count and the defaults of caches that this
				     process opened before leave, and never more than seven
				     eighths of all */
	uint64_t guest_limit;     /* guest-physical addresses at and past this are refused;
				     default 2^46 or what 2^28 buckets cover, if that is less */
	const struct mapcache_backend *backend; /* default &mapcache_backend_xen */
	void *backend_data;                     /* for backend->open */

	/*
	 * One line of text, no newline. Called without locks, from any thread that calls the
	 * library and from the reclaim thread, at most about ten times a second. It must not
	 * call the library. Default: nothing is logged.
	 */
	void (*log)(void *log_data, enum mapcache_log_level level, const char *message);
	void *log_data;

	/*
	 * [address, address + len) begins or ceases to show guest memory from gpa on. Every part
	 * is added before anybody can use it, and removed when nobody does any more; what cannot be
	 * unmapped is told once more at the next attempt. Called without locks, from any thread that
	 * calls the library and from the reclaim thread, perhaps inside a section. It must not call
	 * the library. Default: nobody is told.
	 */
	void (*notify)(void *notify_data, enum mapcache_event event, uint64_t gpa, void *address,
		       uint64_t len);
	void *notify_data;

	/*
	 * The embedder's own addresses: everywhere in this interface gpa is then an address of
	 * that kind, and this finds the guest-physical one when something is mapped or reported.
	 * It must be linear for [address, address + len), which is in one bucket. Returns 0 and
	 * *gpa, a multiple of 4096, or -errno, which the look-up returns. Called as notify. When
	 * its answers change, call mapcache_invalidate_range(). Default: they are the same.
	 */
	int (*translate)(void *translate_data, uint64_t address, uint64_t len, uint64_t *gpa);
	void *translate_data;

	/*
	 * Pre-mapping the guest: mapcache_open() maps these ranges at once, whole buckets, whose default
	 * size is then 16 MiB, and max_bytes and guest_limit are raised to hold them. What has no
	 * memory behind it stays a hole. Only an invalidation makes anything be mapped again. The
	 * list is read by mapcache_open() only. Default none: everything on demand.
	 */
	const struct mapcache_range *whole;
	size_t whole_count;

	/*
	 * [gfn, gfn + pages) was modified and could not be reported: what mapcache_dirty_log() is
	 * for, a live migration, would lose it and must be given up. error: the reason, -errno.
	 * Called as notify, but for the reclaim thread. Default: it is only logged and counted.
	 */
	void (*report_failed)(void *report_failed_data, uint64_t gfn, uint64_t pages, int error);
	void *report_failed_data;

	/*
	 * The domain is gone: Xen has said so in answer to a call, which is the first that this
	 * library hears of it. While memory of it is mapped anywhere, only
	 * mapcache_ioreq_enable() can hear it: a map call says -EINVAL then, as for a hole, so
	 * listen to the toolstack, too. Told once. Its memory is not free while it is mapped here: give it
	 * up by mapcache_unmap() of all of it, or by mapcache_close(). Called as report_failed.
	 * Default: it is only logged.
	 */
	void (*gone)(void *gone_data);
	void *gone_data;
};

/*
 * Open a cache and all handles it will ever need, reserve its address space and start its
 * reclaim thread. Any thread; may block.
 *   -EINVAL     an option is out of its range (the log says which), or a pointer is NULL
 *   -E2BIG      options->size is larger than known and the unknown tail is not zero
 *   -ENOMEM     no memory or address space: lower max_bytes or guest_limit
 *   -EAGAIN     the reclaim thread could not be started
 *   others      from the backend, e.g. -ENOENT, -EACCES (no /dev/xen/privcmd)
 */
MAPCACHE_CHECKED int mapcache_open(const struct mapcache_options *options, struct mapcache **cache);

/*
 * Unmap everything and free the cache. Any thread, once; waits for the reclaim thread.
 * In a child after fork(2) only the handles and the child's copy of the memory go.
 *   -EINVAL     cache is NULL
 *   -EBUSY      clients are open or pins are left; nothing was done
 */
int mapcache_close(struct mapcache *cache);

/*
 * A client is one thread's handle: of the first that uses it. It costs some cache lines, 4 bytes a
 * page of one bucket, and 4 bytes for every bucket that it ever pinned. Any thread.
 *   -EINVAL, -ENOMEM
 */
MAPCACHE_CHECKED int mapcache_client_open(struct mapcache *cache, struct mapcache_client **client);

/*
 * Pins taken through the client stay; anybody may release them.
 *   -EINVAL     client is NULL
 *   -EBUSY      a section is open
 */
int mapcache_client_close(struct mapcache_client *client);

/*
 * The calling thread's own client of the cache, for programs whose threads come and go, or whose
 * interfaces have no place for a client: opened at the thread's first call, the same at every
 * later one, and closed when the thread ends, its section with it, or by mapcache_close() (which
 * is -EBUSY while one has a section open). Not to be handed to another thread. Some ns when it is
 * there; NULL with errno. Any thread; does not block.
 *   EINVAL      cache is NULL
 *   EAGAIN      the process has no thread-specific key left (pthread_key_create(3))
 *   ENOMEM      as mapcache_client_open()
 */
struct mapcache_client *mapcache_thread_client(struct mapcache *cache);

/*
 * A section: pointers from mapcache_ptr() on this client are good until its end. Sections
 * nest; the outermost end counts. Keep them short (no sleeping, no I/O): a section holds up
 * reclaim and mapcache_drain(). Each call is a store, and neither waits for anybody's section. But
 * the first begin of a client on a thread may allocate; and an end may unmap what the section had
 * room for nowhere else (a system call), and reports what was written while the log of modified
 * pages is on, which may block as Xen does.
 */
static inline void mapcache_begin(struct mapcache_client *client)
{
	mapcache_begin_inline(client);
}

/* -EINVAL: no section is open. */
static inline int mapcache_end(struct mapcache_client *client)
{
	return mapcache_end_inline(client);
}

/*
 * A pointer to [gpa, gpa + len), good until the section ends. Only inside a section, only on
 * the client's thread. A hit does not block; a miss maps, which may block as long as Xen does.
 *   EINVAL      len is 0, prot is wrong, or no section is open (a hit looks at len only)
 *   ERANGE      gpa + len overflows or lies past guest_limit
 *   E2BIG       the range crosses a bucket boundary: use mapcache_read(), _write(), _pin_iov()
 *   EFAULT      there is no memory behind a page of the range (now: ask again later)
 *   EACCES      write access to memory that can only be read
 *   EAGAIN      the budget is used up by what open sections, this one included, still hold
 *   ENOMEM      no memory, no kernel mappings left, or the budget is used up by pins
 *   others      from Xen, e.g. ESRCH (the domain is gone)
 */
MAPCACHE_CHECKED static inline void *mapcache_ptr(struct mapcache_client *client, uint64_t gpa,
						  size_t len, int prot)
{
	return mapcache_ptr_inline(client, gpa, len, prot);
}

/*
 * The same for programs that want one convention throughout: 0 and *pointer, or -errno. Of the two,
 * functions that return a number return -errno, which nothing on the way out of an error can
 * overwrite; those that return a pointer return NULL and set errno, as C has it.
 */
MAPCACHE_CHECKED static inline int mapcache_get_ptr(struct mapcache_client *client, uint64_t gpa,
						    size_t len, int prot, void **pointer)
{
	*pointer = mapcache_ptr(client, gpa, len, prot);
	return *pointer ? 0 : -errno;
}

/*
 * Copy from or to guest memory, across any number of buckets. Like pread(2): a count smaller
 * than len means that something after it could not be reached; an error is returned only
 * when nothing was copied. Inside or outside of a section; errors as mapcache_ptr().
 */
MAPCACHE_CHECKED ssize_t mapcache_read(struct mapcache_client *client, uint64_t gpa, void *buffer,
				       size_t len);
MAPCACHE_CHECKED ssize_t mapcache_write(struct mapcache_client *client, uint64_t gpa,
					const void *buffer, size_t len);

/*
 * mapcache_pin() flags: all of *len in one piece, across buckets; the same, in address space that
 * is this pin's own and nobody else's, which is what mapcache_replace() can relocate.
 */
#define MAPCACHE_PIN_CONTIGUOUS 0x1u
#define MAPCACHE_PIN_OWN_MAPPING 0x2u

/*
 * Pin guest memory: the pointer is good until it is unpinned, across sections, threads and
 * invalidations. After an INVALIDATE it may show memory that is no longer the guest's (C).
 * *len: in, the bytes wanted; out, how many of them are contiguous from the pointer (to the
 * end of the bucket at most). Inside or outside of a section; errors as mapcache_ptr() without
 * E2BIG.
 * With MAPCACHE_PIN_CONTIGUOUS it is all of *len or an error. A range that crosses buckets gets
 * neighbouring slots of its own, which show the same machine pages as the buckets do, so that
 * both see the same contents; they count against max_bytes as whole buckets. They stay for the
 * next such pin, which costs the same however many there are, until they are stale or room is
 * needed; those that nobody pins take at most a quarter of max_bytes. A pin of its own is unmapped
 * when it is released. Inside one bucket a contiguous pin is as any other.
 */
MAPCACHE_CHECKED void *mapcache_pin(struct mapcache_client *client, uint64_t gpa, size_t *len,
				    int prot, unsigned int flags);

/* The same with one convention: 0 and *pointer, or -errno. */
MAPCACHE_CHECKED static inline int mapcache_get_pin(struct mapcache_client *client, uint64_t gpa,
						    size_t *len, int prot, unsigned int flags,
						    void **pointer)
{
	*pointer = mapcache_pin(client, gpa, len, prot, flags);
	return *pointer ? 0 : -errno;
}

/*
 * Pin [gpa, gpa + len) as segments, one in each bucket, each to be unpinned by its iov_base. All
 * or nothing. Returns the number of segments used, or -errno as mapcache_pin(), and
 *   -EMSGSIZE   iovcnt segments are not enough: iov[0], if there is one, says in its iov_len how
 *               many it takes, one for each bucket of the range (1 MiB unless bucket_shift says
 *               otherwise); its iov_base is NULL
 */
MAPCACHE_CHECKED int mapcache_pin_iov(struct mapcache_client *client, uint64_t gpa, size_t len,
				      int prot, struct iovec *iov, int iovcnt);

/*
 * Pin the ranges of one request, such as a virtqueue's buffers, in their order and each as segments
 * of its own: the first count of iov. All or nothing. What is not mapped is mapped by one call, a
 * bucket's pages at most, where the backend can (map_frames), and unmapped when it has been released;
 * what is asked for once more in the same epoch is mapped as by mapcache_pin(). Returns the number
 * of segments used, or -errno as mapcache_pin_iov().
 */
int mapcache_pin_sgl(struct mapcache_client *client, const struct mapcache_range *ranges, int count,
		     int prot, struct iovec *iov, int iovcnt);

/*
 * Release one pin by any pointer into it that the pin call covered. written: how many bytes
 * from ptr on were written through it (for the dirty log; 0 when none). Any thread, does not
 * block. mapcache_client_unpin() is the fast form, for the thread of any client of the same
 * cache, best the one that pinned: it needs no atomic operation.
 * Releasing more often than was pinned is an error of the caller that only mapcache_unpin()
 * always notices; the bucket then stays pinned for ever.
 *   -EINVAL     NULL, or no pin holds this pointer
 */
int mapcache_unpin(struct mapcache *cache, void *ptr, size_t written);
int mapcache_client_unpin(struct mapcache_client *client, void *ptr, size_t written);

/*
 * Release segments of mapcache_pin_iov() or mapcache_pin_sgl(); written: how many bytes were
 * written through them, from the first one's first on, reported in one call. Any thread, or that
 * of a client, as above. All that can be are released, whatever is returned.
 *   -EINVAL     NULL, or no pin holds one of them
 */
int mapcache_unpin_iov(struct mapcache *cache, const struct iovec *iov, int count, size_t written);
int mapcache_client_unpin_iov(struct mapcache_client *client, const struct iovec *iov, int count,
			      size_t written);

/*
 * The guest address behind a pinned pointer, or behind a section's pointer inside it. Any
 * thread; constant time, no lock. With a backend that maps where it likes the pointer is looked
 * for in a hash table, under a lock that is held for as long as that takes.
 *   -EINVAL     NULL
 *   -ENOENT     not a pointer into this cache
 */
int mapcache_gpa(struct mapcache *cache, const void *ptr, uint64_t *gpa);

/*
 * Make every mapping stale (A, D). Returns the new epoch. Any thread, also in a signal
 * handler; never blocks, never fails.
 */
uint64_t mapcache_invalidate(struct mapcache *cache);

/* The current epoch: 1 after open, counts invalidations. Any thread; does not block. */
uint64_t mapcache_epoch(struct mapcache *cache);

/*
 * The same for the buckets that [gpa, gpa + len) touches: no look-up that starts after the
 * return yields a mapping of them made before the call. Any thread; takes stripe locks, does
 * not wait for mapping or for sections.
 *   -EINVAL     cache is NULL or len is 0
 *   -ERANGE     gpa + len overflows; a range past guest_limit is not an error
 */
int mapcache_invalidate_range(struct mapcache *cache, uint64_t gpa, uint64_t len);

#define MAPCACHE_DRAIN_PINS 0x1u /* wait for pins, too */

/*
 * Relocate: every pin in address space of its own (with MAPCACHE_PIN_OWN_MAPPING, or contiguous
 * across buckets) that lies inside [old_gpa, old_gpa + len) shows [new_gpa, new_gpa + len) from now on,
 * at the same host addresses, and mapcache_gpa() of it says so; a placeholder there is gone with
 * its contents; look-ups of old_gpa that start afterwards map afresh. Other pins stay as they are
 * (C). While modified pages are logged, what the pins showed for writing is reported first.
 * old_gpa, new_gpa and len are multiples of 4096; the ranges may overlap. No other thread may be
 * using the pins or looking the old range up meanwhile: for a moment there is nothing behind them, though
 * their address space is never free for others. A failure is undone: nothing was changed, but that
 * what was undone is as fresh as by a look-up; what is not there for it any more is logged and shows
 * memory of this process. Outside of sections; may block. Returns the number of pinned areas that
 * were relocated.
 *   -EINVAL     NULL, or numbers that are not as above
 *   -ERANGE     a range overflows or lies past guest_limit
 *   -EBUSY      such a pin lies in the old range partly, or the mapping that a contiguous one shares
 *               with a longer one, or a placeholder does, or the pin is being relocated
 *   -EFAULT     there is no memory behind a page of new_gpa
 *   -EDEADLK    the caller is in a section
 *   -EOPNOTSUPP the backend cannot map at an address
 *   others      as mapcache_pin()
 */
MAPCACHE_CHECKED int mapcache_replace(struct mapcache *cache, uint64_t old_gpa, uint64_t new_gpa,
				      uint64_t len);

/*
 * Memory of this process, zeroes at first, under guest addresses behind which there is none yet:
 * every look-up and pin of them gets it, until mapcache_replace() takes it away or the cache is
 * closed. gpa and len are multiples of 4096. Any thread; may block.
 *   -EINVAL     NULL, or numbers that are not as above
 *   -ERANGE     the range overflows or lies past guest_limit
 *   -EEXIST     a part of it is a placeholder already
 *   -EOPNOTSUPP the backend cannot map at an address
 *   -ENOMEM     no memory
 */
MAPCACHE_CHECKED int mapcache_placeholder(struct mapcache *cache, uint64_t gpa, uint64_t len);

/*
 * The placeholders in the range are over: look-ups that start after the return find the guest's
 * memory or none, pins keep what they show. For what turned out never to get memory, as when an
 * incoming guest begins to run. Any thread; takes stripe locks.
 *   -EINVAL, -ERANGE, -EOPNOTSUPP  as mapcache_placeholder()
 *   -EBUSY      a placeholder lies in the range partly; nothing was done
 */
int mapcache_placeholder_end(struct mapcache *cache, uint64_t gpa, uint64_t len);

/*
 * Switch the log of modified pages on or off. While it is on, what this process writes is
 * reported to Xen (xendevicemodel_modified_memory_bulk): by mapcache_write() and by an unpin with
 * written bytes before they return, of what was looked up for writing in a section before its
 * outermost end returns. Inside a section all reports of a client are gathered for one call at
 * its end, so that the I/O must be completed after that. Reported is the frame that the memory
 * shows, whatever the embedder's address means by then. What Xen refuses does not lose the rest;
 * what is lost is told (report_failed). The guest's last frame is never in Xen's log: not an
 * error, but counted (modified_refused).
 * On: waits for the sections that are open, so that everything written after the return is
 * reported; a pin taken earlier is reported when it is released. Off: reports all that is pinned
 * for writing as mapcache_modified_pins(), and waits for the sections that are open and for the
 * reports on their way, so that everything written before the call has been reported.
 * timeout_ms: 0 = look once, -1 = for ever; mapcache_dirty_log() waits two seconds. Any thread
 * that is not in a section; sleeps. But for the first three the switch is made all the same, and
 * the same call waits on.
 *   -EINVAL     cache is NULL
 *   -EOPNOTSUPP the backend cannot report
 *   -EDEADLK    the caller is in a section
 *   -ETIMEDOUT  a section from before is still open, or a report is still on its way: what such
 *               sections write may be missing (on), or has not been reported yet (off)
 *   -EPERM      membarrier(2) is refused since the cache was opened: as -ETIMEDOUT
 *   others      off: from the backend, which has failed to report some of it
 */
MAPCACHE_CHECKED int mapcache_dirty_log(struct mapcache *cache, bool enable);
MAPCACHE_CHECKED int mapcache_dirty_log_wait(struct mapcache *cache, bool enable, int timeout_ms);

/*
 * Report [ptr, ptr + len) as modified while it stays pinned (rings for a device's life, a
 * display's memory), or as written in the section that is open. Inside a section it is gathered
 * with the rest for its end, outside it is reported before the return. 0 at once while the log is
 * off. The client's thread; may block as Xen does.
 *   -EINVAL     NULL, or no pin of this cache can hold ptr
 *   -E2BIG      the range runs past what one pin of ptr can hold: nothing was reported
 *   others      from the backend: what could not be reported was told (report_failed)
 */
int mapcache_modified(struct mapcache_client *client, const void *ptr, size_t len);

/*
 * Report everything that is pinned and can be written, for the last pass of a migration: the
 * device is stopped, its pins stay. Whatever of a bucket is mapped counts as written, since pins
 * do not say which of its pages they cover: report what was written by mapcache_modified() as it
 * is written, and do this once. 0 at once while the log is off. Any thread; takes locks briefly,
 * does not wait for sections; may block as Xen does.
 *   -EINVAL     cache is NULL
 *   -EOPNOTSUPP the backend cannot report
 *   others      from the backend, as above
 */
int mapcache_modified_pins(struct mapcache *cache);

/*
 * Wait until no section that began before epoch is running, no report of modified pages from
 * before is on its way and, with MAPCACHE_DRAIN_PINS, no mapping older than epoch is pinned, nor a
 * pin of one on its way (F). Without that flag pins may be left. timeout_ms: 0 = look once, -1 = for
 * ever. Any thread that is not inside a section; sleeps. In a section is who began it: a client
 * handed to another thread while a section is open counts as the first one's until it has ended.
 *   -EINVAL     unknown flags, or an epoch that has not been reached
 *   -ETIMEDOUT  somebody still uses something older; a call that Xen lets hang does, too
 *   -EDEADLK    the caller itself is in a section
 */
MAPCACHE_CHECKED int mapcache_drain(struct mapcache *cache, uint64_t epoch, int timeout_ms,
				    unsigned int flags);

/*
 * Unmap the buckets that [gpa, gpa + len) touches, and wait for it: 0 says that since the call
 * there has been a moment when nothing in this process showed them. For memory that somebody
 * waits to have back: granted pages before a request is completed, memory that is unplugged, all
 * of it (len = guest_limit) when the domain is gone. timeout_ms: 0 = try once, -1 = for ever. Any
 * thread that is not inside a section; sleeps.
 *   -EINVAL     cache is NULL or len is 0
 *   -ERANGE     gpa + len overflows
 *   -EDEADLK    the caller is in a section
 *   -ETIMEDOUT  a pin or another thread's section still holds a part of it, or the backend
 *               cannot unmap it; what is found there from now on is mapped afresh
 */
MAPCACHE_CHECKED int mapcache_unmap(struct mapcache *cache, uint64_t gpa, uint64_t len,
				    int timeout_ms);

/* In an address as a guest names memory in its rings: it is a grant reference << 12 | offset. */
#define MAPCACHE_ADDRESS_GRANT (UINT64_C(1) << 63)

/*
 * The calling thread's client (mapcache_thread_client()) of the cache that maps what *address
 * names: guest, or with MAPCACHE_ADDRESS_GRANT, which is taken out of it, grants[0] for reading
 * and grants[1] for writing (mapcache_backend_grants_read_only, mapcache_backend_grants). Either
 * may be NULL, and so may grants. NULL with errno, and *address as it was. Any thread; does not
 * block.
 *   EINVAL      guest or address is NULL
 *   ENODEV      it is a grant's, and there is no cache for it
 *   others      as mapcache_thread_client()
 */
MAPCACHE_CHECKED struct mapcache_client *mapcache_address_client(struct mapcache *guest,
								 struct mapcache *const grants[2],
								 uint64_t *address, int prot);

/*
 * Release a pin of len bytes from ptr on, taken through such a client by any thread; written: as
 * mapcache_unpin(). Granted pages are unmapped before the return, as their guest takes them back
 * when it is told that its request is done: waits up to timeout_ms for others who hold them. Any
 * thread; may sleep.
 *   -EINVAL     NULL, len is 0 or less than written, or ptr is in none of the caches
 *   -ETIMEDOUT  it is released, but somebody else still holds a granted page
 *   others      as mapcache_unpin() and mapcache_unmap()
 */
int mapcache_address_unpin(struct mapcache *guest, struct mapcache *const grants[2], void *ptr,
			   size_t len, size_t written, int timeout_ms);

/*
 * Do the reclaim thread's work now: retire what is stale and unmap up to budget_bytes of it.
 * Returns the bytes that are still stale and mapped (pinned ones included). For embedders
 * that chose MAPCACHE_NO_RECLAIM_THREAD; harmless otherwise. Any thread; never waits for a
 * section. Returns 0 for a NULL cache.
 */
uint64_t mapcache_reclaim(struct mapcache *cache, uint64_t budget_bytes);

/*
 * Every counter, once: name, meaning. The struct, the dump and the manual come from this.
 * Hits are not counted: a hit writes nothing.
 */
#define MAPCACHE_STATISTICS(X)                                                                     \
	X(epoch, "current epoch: 1 + invalidations")                                               \
	X(range_invalidates, "calls of mapcache_invalidate_range")                                 \
	X(slow_lookups, "look-ups that took the slow path, mapped or not")                         \
	X(misses, "look-ups that found nothing usable and mapped")                                 \
	X(waits, "look-ups that waited for another thread mapping the same bucket")                \
	X(maps_overtaken, "mappings overtaken by an invalidation, given to their caller only")     \
	X(map_calls, "backend map calls")                                                          \
	X(map_errors, "backend map calls that failed whole")                                       \
	X(pages_mapped, "pages mapped by them")                                                    \
	X(holes, "pages found without memory behind them")                                         \
	X(refreshed_in_place, "stale mappings replaced in their slot")                             \
	X(refreshed_in_fresh_slot, "stale mappings replaced by one in a fresh slot")               \
	X(mapped_whole, "dense buckets mapped whole")                                              \
	X(evictions, "mappings given up for room")                                                 \
	X(rescues, "mappings on probation that were used again")                                   \
	X(grace_periods, "grace periods started")                                                  \
	X(grace_failures, "attempts that found a section still running")                           \
	X(unmap_calls, "release calls")                                                            \
	X(unmap_errors, "release calls that failed")                                               \
	X(spans, "contiguous areas across buckets or of their own, pinned or kept")                \
	X(modified_calls, "reports of modified pages")                                             \
	X(modified_errors, "reports that failed for good: their pages are not in the log")         \
	X(modified_pages, "pages reported as modified")                                            \
	X(modified_refused, "modified pages that Xen does not take: the guest's last, or past it") \
	X(table_sweeps, "table closed and swept because epoch tags would wrap")                    \
	X(buckets, "buckets in the index now")                                                     \
	X(slots_used, "slots of address space in use now")                                         \
	X(mapped_bytes, "bytes mapped now, stale ones included")                                   \
	X(stale_bytes, "of these, bytes of older epochs and of evicted mappings")                  \
	X(stale_bytes_max, "most stale bytes seen at a mapping or a reclaim")                      \
	X(pinned_stale_bytes, "retired bytes that only a pin keeps, at the last reclaim")          \
	X(vmas, "kernel mappings in use now")                                                      \
	X(clients, "open clients")                                                                 \
	X(memory_bytes, "memory of the library itself, without the guest's")                       \
	X(long_sections, "sections that held others back for more than a second")                  \
	X(lost_ranges, "address ranges that another thread took when a map call failed")           \
	X(lost_bytes, "all of these: they are not used again")                                     \
	X(batches, "of map_calls, those for what was in use before, of many buckets")              \
	X(pages_batched, "of pages_mapped, theirs")

struct mapcache_stats {
	size_t size; /* in: sizeof(struct mapcache_stats) */
#define MAPCACHE_STATISTICS_FIELD(name, text) uint64_t name;
	MAPCACHE_STATISTICS(MAPCACHE_STATISTICS_FIELD)
#undef MAPCACHE_STATISTICS_FIELD
};

/*
 * Any thread; takes locks briefly, never waits for mapping.
 *   -EINVAL     NULL, or size too small to hold itself
 *   -E2BIG      size is larger than known and the unknown tail is not zero
 */
int mapcache_stats(struct mapcache *cache, struct mapcache_stats *stats);

/*
 * Statistics, every bucket and every contiguous mapping, as text for people / as one JSON object for programs. Any
 * thread; no lock is held while writing.
 *   -EINVAL     a pointer is NULL
 *   -ENOMEM     no memory for what is to be written; nothing is
 *   -EIO        file failed
 */
int mapcache_dump(struct mapcache *cache, FILE *file);
int mapcache_dump_json(struct mapcache *cache, FILE *file);

/*
 * Publish the statistics in a file of one page (mapcache/published.h), for mapcache-top(1): made
 * anew with mode 0600, in place of one that is there, and removed by mapcache_close(). Nothing
 * is published by default. A thread writes it every period_ms; 0: mapcache_publish_now() alone
 * does. Outside of signal handlers, one thread at a time, as mapcache_close(); may block.
 *   -EINVAL     NULL, or more than an hour
 *   -EALREADY   it is published
 *   others      open(2), posix_fallocate(3), mmap(2), pthread_create(3); nothing is left behind
 */
int mapcache_publish(struct mapcache *cache, const char *path, uint32_t period_ms);

/*
 * Write them now. Any thread between publishing and closing; takes the library's locks, does not
 * wait for the guest.
 *   -EINVAL     NULL
 *   -ENOENT     it is not published
 */
int mapcache_publish_now(struct mapcache *cache);

#ifdef __cplusplus
}
#endif

#endif
