/* SPDX-License-Identifier: MIT */
/*
 * What the files of the simulated Xen share. See README.md for the whole.
 *
 * Locks, outermost first; none is held across mmap(2), munmap(2), a hook or a wait:
 *   domain->ioreq_lock   the domain's ioreq servers and what they own
 *   domain->p2m_lock     writers of the p2m; readers take none (p2m.c)
 *   evtchn lock          event channel bindings (evtchn.c)
 *   vcpu->lock           what a vCPU sleeps on
 *   registry lock        which addresses show foreign memory (registry.c)
 *   allocator lock       free machine pages (memory.c)
 */
#ifndef XENSIM_PRIVATE_H
#define XENSIM_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <xen/xen.h>
#include <xen/hvm/ioreq.h>

#include "xensim.h"

#define PAGE_SHIFT 12
#define GFN_BITS 36
#define MAX_VCPUS 128
#define MAX_SERVERS 8
#define DOMID_LIMIT 0x7ff0u

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define swap_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/* ---- host.c ------------------------------------------------------------------------ */

struct xensim_domain;

struct host {
	bool running;
	/* In a child after fork(2): it has no foreign mappings (the kernel does not copy them), its
	 * handles are of no use, and locks that other threads held will never be released. */
	bool inherited;
	struct xensim_options options;
	struct xensim_domain *domains[DOMID_LIMIT]; /* set once by create, freed by stop */
	uint32_t next_domid;
	pthread_mutex_t domains_lock; /* writers of the two above */
	/* Counters, atomic. */
	uint64_t pages_owned;
	uint64_t pages_xen; /* pages of Xen's own: ioreq servers */
	uint64_t foreign_mappings;
	uint64_t foreign_pages;
	uint64_t map_calls;
	uint64_t unmap_calls;
	uint64_t splits_refused;
	uint64_t invalidates_sent;
	uint64_t invalidates_changes;
	uint64_t handles_open;
	uint64_t dom0_pages_used;
	uint64_t dom0_pages_peak;
	uint64_t dom0_out_of_memory;
	uint64_t protocol_errors;
	uint64_t requests_buffered;
};
extern struct host host;

uint64_t time_now(void); /* ns */
/* Busy wait: what a call costs on the imitated machine, in ns. */
void spend(uint64_t ns);
/* With options.jitter: a pause, now and then. */
void jitter(void);
/* With options.jitter: now and then. */
bool jitter_hits(unsigned int one_in);
uint64_t cost_of_map(size_t pages);
uint64_t cost_of_unmap(size_t pages);

/* ---- memory.c: machine pages ------------------------------------------------------- */

enum page_kind { PAGE_GUEST, PAGE_XEN };

int memory_init(uint64_t pages);
void memory_exit(void);
int memory_fd(void);
uint64_t memory_pages(void);
uint64_t memory_free_pages(void);
/* Xen's own view of machine memory. */
void *memory_address(uint64_t mfn);
/* 2^order zeroed pages, naturally aligned, each with its owner's reference; hint: preferred
 * first frame. XENSIM_INVALID_MFN when there are none. */
uint64_t page_alloc(struct xensim_domain *domain, unsigned int order, uint64_t hint,
		    enum page_kind kind);
/* A reference on a page that may be freed at this moment: false when it is free. */
bool page_try_get(uint64_t mfn);
void page_put(uint64_t mfn);
/* A page of the guest's memory, none of Xen's own. */
bool page_is_guests(uint64_t mfn);
/* The owner gives the page back: it is free as soon as nobody else refers to it. */
void page_release(uint64_t mfn);

/* ---- p2m.c ------------------------------------------------------------------------- */

#define P2M_ENTRIES 512
#define P2M_LEAF 3 /* levels 0..3; leaves at 1, 2 and 3 */

struct p2m_table {
	uint64_t entry[P2M_ENTRIES]; /* 0: nothing; a table; or mfn and type (p2m.c) */
	struct p2m_table *spare[];   /* not at the last level: tables taken out of use */
};

/* Frames that one entry of a level covers: 2^p2m_order(level). */
static inline unsigned int p2m_order(int level)
{
	return 9u * (unsigned int)(P2M_LEAF - level);
}

/* Is there a page behind an entry of this type that can be reached now? */
static inline bool p2m_has_page(enum xensim_p2m_type type)
{
	return type == XENSIM_RAM || type == XENSIM_RAM_RO || type == XENSIM_GRANT ||
	       type == XENSIM_DENIED;
}

/* The guest's stores are dropped. */
static inline bool p2m_read_only(enum xensim_p2m_type type)
{
	return type == XENSIM_RAM_RO || type == XENSIM_DENIED;
}

/* Lock-free. The level of the entry that decides about gfn, its type and frame. */
enum xensim_p2m_type p2m_lookup(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn,
				int *level);
/* Lock-free: as above, and when the type has a page, a reference on it that the p2m still
 * named after the reference was taken. */
enum xensim_p2m_type p2m_get_page(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn);

/* The rest: p2m_lock held. */
/*
 * Make one entry of 2^order frames (0, 9, 18), or a hole (mfn XENSIM_INVALID_MFN). What was
 * there is given back. *freed_ram: a RAM leaf went or changed its base. -ENOMEM when a
 * superpage could not be shattered; *freed_ram is then set as well (spuriously): on Arm, and on x86
 * when something should go.
 */
int p2m_set(struct xensim_domain *domain, uint64_t gfn, unsigned int order, uint64_t mfn,
	    enum xensim_p2m_type type, bool *freed_ram);
/* Change the type of one 4 KiB entry in place. -EINVAL at a hole. */
int p2m_retype(struct xensim_domain *domain, uint64_t gfn, enum xensim_p2m_type type);
/* Nobody uses the p2m any more: give every page back and free the tables. */
void p2m_teardown(struct xensim_domain *domain);

/* ---- physmap.c: what hypercalls do to the p2m -------------------------------------- */

/* vcpu: who asked, NULL for the toolstack. Each notes the INVALIDATE that is due. 0 or -errno. */
int physmap_decrease(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
		     unsigned int order);
int physmap_remove(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn);
int physmap_populate(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
		     unsigned int order);
int physmap_exchange(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn);
int physmap_add(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn);

/* ---- domain.c ---------------------------------------------------------------------- */

enum domain_state { DOMAIN_GONE, DOMAIN_ALIVE, DOMAIN_SHUTDOWN, DOMAIN_DYING };

struct ioreq_server;
struct channel;
struct handle;

struct xensim_vcpu {
	struct xensim_domain *domain;
	uint32_t id;
	pthread_t thread;
	bool started;  /* start..join; domain->vcpu_lock */
	bool finished; /* atomic: the program has returned */
	xensim_program program;
	void *data;
	bool invalidate;   /* atomic: an INVALIDATE is due */
	uint64_t *changed; /* oracle lock: frames that the hypercall at work changes */
	size_t changed_count;
	uint64_t leftover; /* what the last request left in its register */
	/* What it sleeps on: events counts notifications of its ports and kicks by shutdown,
	 * interrupts what halted programs wait for. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t events;
	uint64_t interrupts;
	struct xensim_wait wait; /* lock */
};

struct xensim_domain {
	uint32_t domid;
	uint32_t vcpu_count;
	int state;      /* enum domain_state; atomic */
	uint64_t users; /* atomic: 1 for being alive, 1 for each call at work; see domain_get */
	uint64_t pages_owned;  /* atomic */
	uint64_t pages_live;   /* atomic: not yet free again, + 1 until torn down */
	uint64_t pages_xen;    /* atomic: of these, what is Xen's own */
	bool invalidate;       /* atomic: the flag of flag_per_domain */
	uint32_t fail_shatter; /* p2m_lock: so many shatters fail */
	uint64_t max_gfn;      /* atomic: the highest frame that ever had an entry */
	bool created;          /* has got its first memory */
	bool no_dirty_log;     /* atomic */
	bool unpaused;         /* atomic: its creation has finished */
	bool paused;           /* atomic: its vCPUs stand still */
	bool stdvga;           /* atomic: stores to video memory are buffered */
	pthread_mutex_t p2m_lock;
	struct p2m_table *p2m;
	bool keep;      /* p2m_lock: what leaves the p2m now stays the domain's */
	uint64_t *kept; /* p2m_lock: such pages */
	size_t kept_count;
	uint64_t p2m_sequence; /* atomic: odd while a table is taken out of use */
	pthread_mutex_t vcpu_lock;
	pthread_cond_t vcpu_finished;
	struct xensim_vcpu *vcpus;
	pthread_mutex_t ioreq_lock;
	struct ioreq_server *servers[MAX_SERVERS]; /* by id; ioreq_lock */
	uint32_t last_port;                        /* evtchn lock: last event channel given out */
	struct xensim_interrupts interrupts;       /* vcpu_lock */
	uint32_t cf8;                              /* atomic: PCI configuration address register */
	struct dirty_log *dirty;
	struct grants *grants;
};

/* The domain with this id while it lives: its p2m stays until domain_put. NULL: none. */
struct xensim_domain *domain_get(uint32_t domid);
bool domain_get_live(struct xensim_domain *domain);
/* Destroyed, and not gone yet: somebody has pages of it mapped. On a strict host. */
bool domain_is_dying(uint32_t domid);
void domain_put(struct xensim_domain *domain);
/* A page of this domain became free. */
void domain_page_freed(struct xensim_domain *domain);
/* Shut down: its vCPUs wake up and are asked to stop; does not wait for them. */
void domain_stop(struct xensim_domain *domain);
/* What Xen does to a domain whose device model breaks the protocol. */
void domain_crash(struct xensim_domain *domain);
static inline bool domain_stopping(struct xensim_domain *domain)
{
	return load_acquire(&domain->state) != DOMAIN_ALIVE;
}
/* host.c at stop: free what create made. */
void domain_free(struct xensim_domain *domain);

/* ---- vcpu.c, invalidate.c ---------------------------------------------------------- */

int vcpu_init(struct xensim_domain *domain);
void vcpu_exit(struct xensim_domain *domain);
/* Wake every vCPU from whatever it waits for, and wait for those threads but our own. */
void vcpu_kick_all(struct xensim_domain *domain);
void vcpu_join_all(struct xensim_domain *domain);
/* Every instruction and hypercall begins like a VM entry: not while the domain is paused, and with
 * what INVALIDATE is due. 0 or -ESHUTDOWN. */
int vcpu_enter(struct xensim_vcpu *vcpu);
/* An event for a vCPU: it looks at its slots again. */
void vcpu_event(struct xensim_vcpu *vcpu);
uint64_t vcpu_events(struct xensim_vcpu *vcpu);
/* Until events is another than seen. */
void vcpu_sleep(struct xensim_vcpu *vcpu, uint64_t seen);
void vcpu_account_wait(struct xensim_vcpu *vcpu, uint64_t ns);
/* An interrupt for the domain: programs that halted go on. */
void vcpu_interrupt(struct xensim_domain *domain);

/* A p2m change that INVALIDATE must report. */
void invalidate_request(struct xensim_domain *domain, struct xensim_vcpu *vcpu);
/* At the end of a hypercall / at a VM entry. 0 or -ESHUTDOWN. */
int invalidate_after_hypercall(struct xensim_vcpu *vcpu);
int invalidate_at_entry(struct xensim_vcpu *vcpu);

/* ---- server.c, ioreq.c ------------------------------------------------------------- */

struct io_range {
	uint64_t start, end; /* inclusive */
};
#define RANGE_TYPES 3 /* XEN_DMOP_IO_RANGE_* */
#define RANGES_MAX 256u

struct range_set {
	struct io_range range[RANGES_MAX]; /* sorted, apart from each other */
	unsigned int count;
};

/* range.c; the caller's lock. */
bool range_contains(const struct range_set *set, uint64_t start, uint64_t end);
int range_add(struct range_set *set, uint64_t start, uint64_t end);
int range_remove(struct range_set *set, uint64_t start, uint64_t end);

struct ioreq_server {
	struct xensim_domain *domain;
	uint16_t id;
	uint32_t users;                   /* atomic: 1 while listed, 1 for each pending request */
	bool enabled;                     /* ioreq_lock */
	bool dead;                        /* atomic: destroyed */
	const struct handle *owner;       /* devicemodel handle that created it */
	uint64_t ioreq_mfn, bufioreq_mfn; /* XENSIM_INVALID_MFN: not allocated */
	uint64_t ioreq_gfn, bufioreq_gfn; /* XENSIM_INVALID_MFN: not in the p2m */
	int buffered;                     /* HVM_IOREQSRV_BUFIOREQ_* */
	struct channel *channel[MAX_VCPUS];
	struct channel *buffered_channel;
	struct range_set ranges[RANGE_TYPES]; /* ioreq_lock */
};

int server_create(struct xensim_domain *domain, int buffered, const struct handle *owner,
		  uint16_t *id);
int server_destroy(struct xensim_domain *domain, uint16_t id);
void server_destroy_all(struct xensim_domain *domain);
int server_enable(struct xensim_domain *domain, uint16_t id, bool enable);
/* A reference, or NULL. */
struct ioreq_server *server_get(struct xensim_domain *domain, uint16_t id);
void server_put(struct ioreq_server *server);
bool server_any(struct xensim_domain *domain);
/* The machine page of one frame of the resource, with a reference: 0 bufioreq, 1 ioreq. 0 or
 * -errno. */
int server_frame(struct ioreq_server *server, unsigned long frame, uint64_t *mfn);
int server_gfns(struct xensim_domain *domain, uint16_t id, uint64_t *ioreq, uint64_t *bufioreq,
		uint32_t *port);
int server_add_range(struct xensim_domain *domain, uint16_t id, unsigned int type, uint64_t start,
		     uint64_t end);
int server_remove_range(struct xensim_domain *domain, uint16_t id, unsigned int type,
			uint64_t start, uint64_t end);
/* The enabled server whose range holds [start, end], with a reference; NULL: none. */
struct ioreq_server *server_select(struct xensim_domain *domain, unsigned int type, uint64_t start,
				   uint64_t end);
/* All enabled servers in the order in which Xen tells them, with references. */
unsigned int server_list_enabled(struct xensim_domain *domain, struct ioreq_server **list);

/* One request to one server, and the wait for its answer. 0 or -ESHUTDOWN. */
int ioreq_send(struct xensim_vcpu *vcpu, struct ioreq_server *server, const struct ioreq *request,
	       uint64_t *data);
/* INVALIDATE to all enabled servers, and the wait for all of them. */
int ioreq_broadcast_invalidate(struct xensim_vcpu *vcpu);
/* buffered.c: does Xen try the ring first for this request; did the ring take it. */
bool buffered_wanted(const struct xensim_domain *domain, const struct ioreq *request);
bool buffered_send(struct xensim_vcpu *vcpu, struct ioreq_server *server,
		   const struct ioreq *request);
/* Write the ports of all vCPUs into their slots. */
void ioreq_publish_ports(struct ioreq_server *server);

/* ---- evtchn.c ---------------------------------------------------------------------- */

/* Xen's end of a channel; target NULL: notifications from the device model go nowhere. */
struct channel *channel_open(struct xensim_domain *domain, struct xensim_vcpu *target);
/* Closed for the device model; the struct stays until channel_free(). */
void channel_close(struct channel *channel);
void channel_free(struct channel *channel);
uint32_t channel_port(const struct channel *channel);
/* Xen notifies the device model. Lost when nobody has bound the channel. */
void channel_notify(struct channel *channel);
void evtchn_exit(void);

/* ---- registry.c: which addresses of this process show foreign memory --------------- */

struct mapping {
	uintptr_t base;
	size_t pages;
	struct mapping *next; /* in a list of detached mappings */
	uint64_t mfn[];       /* XENSIM_INVALID_MFN: nothing behind this page */
};

struct mapping *mapping_new(uintptr_t base, size_t pages);
/* 0 or -ENOMEM. */
int mapping_insert(struct mapping *mapping);
/*
 * Take everything inside [base, base + len) out of the registry into a list. -EINVAL when that
 * would split a mapping, unless splitting is allowed; then nothing has changed.
 */
int mapping_detach(uintptr_t base, size_t len, struct mapping **list);
void mapping_reattach(struct mapping *list);
/* Drop the page references and the records. Returns how many. */
unsigned int mapping_drop(struct mapping *list);
/* Machine frame shown at an address. False: no foreign mapping there. */
bool mapping_lookup(uintptr_t address, uint64_t *mfn);
bool mapping_overlaps(uintptr_t base, size_t len);
bool mapping_covered(uintptr_t base, size_t len); /* whole mappings only, or none */
/* At stop: free the index. Mappings that are left have been detached. */
void registry_exit(void);
/* Around fork(2). */
void registry_before_fork(void);
void registry_after_fork(bool child);

/* ---- wrap.c ------------------------------------------------------------------------ */

void *__real_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t len);
void *__real_mremap(void *address, size_t old_len, size_t new_len, int flags, ...);
int __real_mprotect(void *address, size_t len, int prot);
/*
 * Give a mapping its pages' memory and enter it. address and flags as for mmap(2). mapping->mfn
 * is filled; the references pass to the registry. 0 or -errno: they are still the caller's.
 */
int foreign_install(struct mapping *mapping, void *address, int prot, int flags);
/*
 * The ioctl of a map call to a fixed address has failed: what the call's own mmap put there goes,
 * and what that replaced is gone. -errno when already the mmap fails, which changes nothing.
 */
int foreign_fail(void *address, size_t pages);

/* ---- handles.c --------------------------------------------------------------------- */

/* Errors of either sign: NULL with errno set. */
void *null_errno(int error);
int minus_errno(int error); /* error 0: 0; else errno set and -1 */

/* ---- dirty.c ----------------------------------------------------------------------- */

struct dirty_log *dirty_new(void);
void dirty_free(struct dirty_log *log);
int dirty_add(struct dirty_log *log, uint64_t gfn, uint64_t pages);

/* ---- grants.c ---------------------------------------------------------------------- */

struct grants;
struct grants *grants_new(void);
void grants_free(struct grants *grants);
/* Map one reference: a reference on the page behind it. 0 or -EINVAL, as gntdev says it. */
int grants_map(struct xensim_domain *domain, uint32_t reference, bool write, uint64_t *mfn);
/* It is not mapped any more; the page's reference is the caller's business. */
void grants_unmap(struct xensim_domain *domain, uint32_t reference);
/* Any domain that there ever was. */
struct xensim_domain *domain_any(uint32_t domid);

/* ---- guest.c ----------------------------------------------------------------------- */

/* Copies in atomic units: guest memory is shared with vCPUs that race by nature. */
void guest_copy_in(void *to, const void *guest, size_t len);
void guest_copy_out(void *guest, const void *from, size_t len);

/* ---- oracle.c ---------------------------------------------------------------------- */

bool oracle_used(void);
/* A page is about to change. told: an INVALIDATE that vcpu awaits comes of it. */
void oracle_will_change(struct xensim_domain *domain, struct xensim_vcpu *vcpu, uint64_t gfn,
			bool told);
/* The hypercall has returned: what it took away must not be seen any more. */
void oracle_changes_over(struct xensim_vcpu *vcpu);
void oracle_exit(void);

/* ---- fault.c ----------------------------------------------------------------------- */

/* 0, or the injected -errno for this call. */
int fault_check(enum xensim_call call);
/* For one map call: step and error of failed pages (0: none). */
void fault_pages(unsigned int *step, int *error);
void fault_hang(uint32_t domid, const xen_pfn_t *gfn, size_t pages);
void fault_map_hook(bool end, uint64_t gfn, size_t pages);
void fault_request_hook(uint32_t domid, uint16_t server, uint32_t vcpu,
			const struct ioreq *request);
void fault_reset(void);

#endif
