/* SPDX-License-Identifier: MIT */
/*
 * xensim: a Xen in one process. The static library libxensim.a defines the functions of
 * libxenforeignmemory, libxendevicemodel and libxenevtchn, and is linked instead of them;
 * this header drives the side that those libraries do not show: domains, their vCPUs,
 * machine memory, injected failures.
 *
 * Link with XENSIM_LDFLAGS (tests/xensim/xensim.mk): mmap, munmap, mremap and mprotect are
 * wrapped, so that splitting a foreign mapping is refused as new kernels do.
 *
 * One simulated host per process, made by xensim_start(). All functions: any thread, unless
 * it says otherwise; they return 0 (or a count) or -errno. Frames are 4 KiB.
 */
#ifndef XENSIM_H
#define XENSIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define XENSIM_PAGE 4096u
#define XENSIM_INVALID_MFN UINT64_MAX
/* What new memory holds, as a byte and as a word: not zero. */
#define XENSIM_UNSCRUBBED 0xa5
#define XENSIM_NEW_WORD (UINT64_C(0x0101010101010101) * XENSIM_UNSCRUBBED)

/* ---- the host ---------------------------------------------------------------------- */

enum xensim_arch { XENSIM_X86, XENSIM_ARM };

/* What a call costs on top of the real mmap, in ns (busy wait); all zero: nothing. */
struct xensim_cost {
	uint64_t map_call, map_page;
	uint64_t unmap_call, unmap_page;
};
/* Proportions seen on a PV dom0 and on an Arm dom0, scaled to a one-page map of unit_ns. */
struct xensim_cost xensim_cost_pv(uint64_t unit_ns);
struct xensim_cost xensim_cost_arm(uint64_t unit_ns);

struct xensim_options {
	uint64_t machine_pages; /* memory of the host; 0: 1 GiB */
	enum xensim_arch arch;  /* which p2m rule sends INVALIDATE */
	bool flag_per_domain;   /* the invalidate flag of the first proposal: one for the
				       whole domain, racy; default one per vCPU, as adopted */
	bool allow_split;       /* old kernels: parts of a foreign mapping can be unmapped */
	bool no_map_resource;   /* an older Xen: EOPNOTSUPP, use the frame number */
	unsigned int split;     /* a hypercall of more extents is interrupted after each so many
				       and continued, INVALIDATE in between; 0: never, but at
				       random with jitter */
	bool strict;            /* as Xen also where a test could not go on for ever then: a page
				       that was removed from the p2m or replaced by populate_physmap
				       stays the domain's until that ends (default: it is given
				       back), xensim_exchange() is -EOPNOTSUPP, and on Arm there is
				       no log of modified pages. And a domain that is dying, of
				       which somebody has pages mapped, is still known: its frames
				       are holes (default: -ESRCH, as if it were gone) */
	uint64_t dom0_pages;    /* each page of a mapping costs a page of dom0's own memory, of
				       which it has so many (no unpopulated-alloc); 0: it costs
				       nothing */
	bool no_sysfs;          /* what the kernel says of itself cannot be read */
	bool no_populate;       /* do not fill page tables at map time (faster tests) */
	struct xensim_cost cost;
	uint64_t seed; /* of jitter */
	bool jitter;   /* pause at random where orders matter: before frames are
				       looked at, before pages are released, around requests */
};

/* options may be NULL. -EBUSY when one is running. */
int xensim_start(const struct xensim_options *options);
/* Ends the host. Writes what is leaked (pages, mappings, domains, handles) to report, which
 * may be NULL, and returns the number of leaks. Domains must have been destroyed. */
int xensim_stop(FILE *report);

void xensim_set_cost(struct xensim_cost cost);

struct xensim_totals {
	uint64_t pages_free;
	uint64_t pages_owned;            /* by living domains */
	uint64_t pages_held;             /* given back, but held by a foreign mapping */
	uint64_t foreign_mappings;       /* map calls not yet undone */
	uint64_t foreign_pages;          /* page references they hold */
	uint64_t map_calls, unmap_calls; /* unmap: ranges released by any call */
	uint64_t splits_refused;
	uint64_t invalidates_sent;    /* requests, counted once per server */
	uint64_t invalidates_changes; /* p2m changes that asked for one */
	uint64_t handles_open;
	uint64_t requests_buffered; /* put into the rings of servers */
	uint64_t dom0_pages_used;   /* with options.dom0_pages: now, at most so far */
	uint64_t dom0_pages_peak;
	uint64_t dom0_out_of_memory; /* mappings for which they did not suffice: -ENOMEM here; the
					real device model is killed */
};
void xensim_totals(struct xensim_totals *totals);

/* ---- domains ----------------------------------------------------------------------- */

struct xensim_domain;

/* vcpus: 1..128. ram_pages are populated from gfn 0 (x86) or first_gfn upwards. Their contents are
 * anything. domid is chosen. Its creation ends with the first xensim_vcpu_start() or
 * xensim_domain_unpause(): what is changed from outside before that is never told. */
int xensim_domain_create(uint32_t vcpus, uint64_t first_gfn, uint64_t ram_pages,
			 struct xensim_domain **domain);
uint32_t xensim_domid(const struct xensim_domain *domain);
/* Each vCPU stands still at its next call; one that waits for an answer does so anyway. Neither
 * nests. */
void xensim_domain_pause(struct xensim_domain *domain);
void xensim_domain_unpause(struct xensim_domain *domain);
/* Waits for its vCPU threads (which it asks to stop, and wakes from any blocking request). The
 * domain lingers as "dying" while foreign mappings hold its pages. */
int xensim_domain_shutdown(struct xensim_domain *domain);
int xensim_domain_destroy(struct xensim_domain *domain);
/* 0: gone, 1: alive, 2: shut down, 3: dying. *pages: what it still holds, without Xen's own. */
int xensim_domain_state(uint32_t domid, uint64_t *pages);
/* Pages that the domain owns now. */
uint64_t xensim_domain_pages(struct xensim_domain *domain);

enum xensim_p2m_type {
	XENSIM_HOLE,
	XENSIM_RAM,
	XENSIM_RAM_RO, /* the guest's stores are dropped; a device model may map and write it */
	XENSIM_PAGED_OUT,
	XENSIM_GRANT,
	XENSIM_MMIO,
	XENSIM_DENIED, /* as RAM_RO, and a map for writing fails with -EACCES: no Xen that was seen
			  does that */
};
/* The p2m as it is. XENSIM_INVALID_MFN where there is no page. *level: 1 = 1 GiB .. 3 = 4 KiB. */
enum xensim_p2m_type xensim_p2m(struct xensim_domain *domain, uint64_t gfn, uint64_t *mfn,
				int *level);
/* Change the type of RAM entries in place (read-only, paged out and back, MMIO, grant). Paged
 * out: map calls get ENOENT and retry inside the library, as the real one does, until
 * somebody pages it in. Sends nothing. */
int xensim_p2m_set_type(struct xensim_domain *domain, uint64_t gfn, uint64_t pages,
			enum xensim_p2m_type type);
/* The next count superpages to be shattered in this p2m are not, for want of memory: the call that
 * needed it fails, and a spurious INVALIDATE follows (on x86 not for populate_physmap). */
void xensim_fail_shatter(struct xensim_domain *domain, uint32_t count);

/* Toolstack side: as if dom0 made the hypercall. Flags every vCPU of the domain. They return
 * the number of extents done. */
int xensim_outside_decrease(struct xensim_domain *domain, const uint64_t *gfn, unsigned int n);
int xensim_outside_populate(struct xensim_domain *domain, const uint64_t *gfn, unsigned int n,
			    unsigned int order);
int xensim_outside_remove(struct xensim_domain *domain, uint64_t gfn);

/* What guest memory holds, read and written by the machine page, never by a device model's
 * mapping. -EFAULT at a hole; nothing was copied. */
int xensim_guest_read(struct xensim_domain *domain, uint64_t gpa, void *buffer, size_t len);
int xensim_guest_write(struct xensim_domain *domain, uint64_t gpa, const void *buffer, size_t len);

/*
 * Grants, the guest's side. A reference for a frame of RAM, for reading only or for both; 0: none
 * left, or no RAM. Taking it back is -EBUSY while anybody has it mapped: a guest then cannot use
 * the page for anything else.
 */
uint32_t xensim_grant(struct xensim_domain *domain, uint64_t gfn, bool read_only);
int xensim_grant_end(struct xensim_domain *domain, uint32_t reference);

/* What device models have reported by xendevicemodel_modified_memory[_bulk] since the domain was
 * made or the log was cleared: is this frame in it, how many frames are. While the log is off,
 * which it is not at first, reports are taken for good without a look at them. */
void xensim_dirty_log(struct xensim_domain *domain, bool on);
bool xensim_dirty(struct xensim_domain *domain, uint64_t gfn);
uint64_t xensim_dirty_pages(struct xensim_domain *domain);
void xensim_dirty_clear(struct xensim_domain *domain);

/* ---- vCPUs: guest programs --------------------------------------------------------- */

/*
 * A guest program runs on a thread of its own and touches the world through these calls only.
 * Each returns as the instruction or hypercall would have; -ESHUTDOWN once the domain is shut
 * down or destroyed (the program should then return); a program that returns halts its vCPU.
 */
struct xensim_vcpu;
typedef void (*xensim_program)(struct xensim_vcpu *vcpu, void *data);

int xensim_vcpu_start(struct xensim_domain *domain, uint32_t vcpu, xensim_program program,
		      void *data);
/* Wait until the program has returned. */
int xensim_vcpu_join(struct xensim_domain *domain, uint32_t vcpu);
/* NULL: there is none with this number. */
struct xensim_vcpu *xensim_vcpu(struct xensim_domain *domain, uint32_t vcpu);
uint32_t xensim_vcpu_id(const struct xensim_vcpu *vcpu);
struct xensim_domain *xensim_vcpu_domain(struct xensim_vcpu *vcpu);
bool xensim_vcpu_stopping(struct xensim_vcpu *vcpu);

/* Loads and stores. RAM: done at once (crossing pages is fine). A hole or MMIO: one ioreq to
 * the server whose range it is, or all ones / dropped when there is none. Like a VM entry,
 * each also delivers INVALIDATEs that an outside change left for this vCPU. */
int xensim_load(struct xensim_vcpu *vcpu, uint64_t gpa, void *buffer, size_t len);
int xensim_store(struct xensim_vcpu *vcpu, uint64_t gpa, const void *buffer, size_t len);
/* Atomic 16-bit index accesses with acquire / release, for rings. */
int xensim_load16(struct xensim_vcpu *vcpu, uint64_t gpa, uint16_t *value);
int xensim_store16(struct xensim_vcpu *vcpu, uint64_t gpa, uint16_t value);

/* One I/O instruction: size 1, 2, 4, 8 (port I/O: 1, 2, 4). */
int xensim_mmio_read(struct xensim_vcpu *vcpu, uint64_t gpa, uint32_t size, uint64_t *value);
int xensim_mmio_write(struct xensim_vcpu *vcpu, uint64_t gpa, uint32_t size, uint64_t value);
int xensim_port_read(struct xensim_vcpu *vcpu, uint16_t port, uint32_t size, uint64_t *value);
int xensim_port_write(struct xensim_vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value);
/* rep ins/outs (type 0) and rep movs (type 1): split at page boundaries of the RAM side, each
 * piece one data_is_ptr request; the last item, when it is alone, through a register. */
int xensim_rep(struct xensim_vcpu *vcpu, int type, uint64_t addr, uint64_t ram_gpa, uint32_t size,
	       uint32_t count, bool write, bool backwards);
/* rep stos of one value to a device: count > 1 without data_is_ptr, split at the end of the device's
 * page. */
int xensim_rep_stos(struct xensim_vcpu *vcpu, uint64_t addr, uint32_t size, uint32_t count,
		    uint64_t value, bool backwards);
/*
 * What Xen puts into the rings of buffered requests. stdvga: the domain has Xen's VGA emulation, and
 * single stores to [0xa0000, 0xc0000) go into the ring of the server that has them, when it asked
 * for one and there is room; else, and otherwise, into the vCPU's slot. A time offset (the guest
 * has set its clock) goes into the ring of every enabled server, or nowhere.
 */
void xensim_domain_stdvga(struct xensim_domain *domain, bool on);
int xensim_time_offset(struct xensim_vcpu *vcpu, int64_t seconds);
/* A request exactly as given (any field, hostile ones included) in this vCPU's slot of one
 * server; waits for the answer and returns it in *data. */
struct ioreq;
int xensim_raw_request(struct xensim_vcpu *vcpu, uint16_t server, const struct ioreq *request,
		       uint64_t *data);

/* Hypercalls; one hypercall = at most one INVALIDATE, sent at its end, which blocks this vCPU
 * until all enabled servers have answered. They return the number of extents done. */
int xensim_decrease_reservation(struct xensim_vcpu *vcpu, const uint64_t *gfn, unsigned int n,
				unsigned int order);
int xensim_populate_physmap(struct xensim_vcpu *vcpu, const uint64_t *gfn, unsigned int n,
			    unsigned int order);
int xensim_add_to_physmap(struct xensim_vcpu *vcpu, uint64_t gfn); /* a page of Xen's own */
int xensim_remove_from_physmap(struct xensim_vcpu *vcpu, uint64_t gfn);
/* Another page in the same frame, told as one change. No Xen does it for a guest with a p2m; it
 * stands for what only a longer way round can do. */
int xensim_exchange(struct xensim_vcpu *vcpu, uint64_t gfn);
/* A hypercall that changes nothing: the place where late INVALIDATEs are delivered. */
int xensim_nop_hypercall(struct xensim_vcpu *vcpu);

/* Interrupts, as device models raised them. */
struct xensim_interrupts {
	uint64_t count;    /* rising levels and messages */
	uint64_t messages; /* of these, MSIs */
	uint64_t msi_addr; /* of the last one */
	uint32_t msi_data;
	uint32_t last_irq; /* line that rose last */
	uint64_t level[4]; /* one bit for each of 256 lines */
};
void xensim_interrupts(struct xensim_domain *domain, struct xensim_interrupts *interrupts);
/* Sleep until there was an interrupt that *seen (begin with 0) does not count. */
int xensim_halt(struct xensim_vcpu *vcpu, uint64_t *seen);

/* How long this vCPU stood still for INVALIDATE so far. */
struct xensim_wait {
	uint64_t invalidates; /* broadcasts it waited for */
	uint64_t total_ns, max_ns, last_ns;
};
void xensim_vcpu_wait(struct xensim_vcpu *vcpu, struct xensim_wait *wait);

/* ---- servers, seen by Xen ---------------------------------------------------------- */

/* A device model that dies: its process' handles vanish, its servers are destroyed. */
int xensim_emulator_death(struct xensim_domain *domain, uint16_t server);
/* Called by the vCPU's thread for every request it is about to send; for tests that want to
 * see order and contents. NULL: none. */
typedef void (*xensim_request_hook)(void *data, uint32_t domid, uint16_t server, uint32_t vcpu,
				    const struct ioreq *request);
void xensim_set_request_hook(xensim_request_hook hook, void *data);
/* Illegal state transitions by device models seen (Xen would have crashed the domain). */
uint64_t xensim_protocol_errors(void);

/* ---- injected failures of the libraries -------------------------------------------- */

enum xensim_call {
	XENSIM_CALL_MAP,
	XENSIM_CALL_UNMAP,
	XENSIM_CALL_MAP_RESOURCE,
	XENSIM_CALL_DEVICEMODEL,
	XENSIM_CALL_EVTCHN,
	XENSIM_CALL_OPEN,
	XENSIM_CALL_GRANT_MAP,
	XENSIM_CALL_GRANT_UNMAP,
	XENSIM_CALL_COUNT,
};
/* The nth call from now on (1 = the next) of this kind fails with error; 0: none. */
void xensim_fail(enum xensim_call call, uint64_t nth, int error);
/* Every page of the nth map call whose index is a multiple of step gets error in err[]. */
void xensim_fail_pages(uint64_t nth, unsigned int step, int error);
/* Map calls that touch gfn hang until xensim_unhang(). xensim_hanging: how many do now. */
void xensim_hang(struct xensim_domain *domain, uint64_t gfn);
void xensim_unhang(void);
unsigned int xensim_hanging(void);
/* Called at the start of every map call, before any frame is looked at, and at its end. NULL:
 * none. May call the hypercalls of xensim_outside_*, or the library under test. */
typedef void (*xensim_map_hook)(void *data, bool end, uint64_t gfn, size_t pages);
void xensim_set_map_hook(xensim_map_hook hook, void *data);

/* ---- the oracle -------------------------------------------------------------------- */

/*
 * By page. 1: address (inside a foreign mapping) shows the machine page that the p2m has at gpa
 * now; 0: another page (stale); -EFAULT: gpa is a hole; -ENOENT: no foreign mapping at address.
 */
int xensim_is_mapping_of(struct xensim_domain *domain, const void *address, uint64_t gpa);

/*
 * By word. A guest program stores with xensim_oracle_store() (8 bytes, aligned), which keeps
 * the last values of every word and when each was over: the next store has returned, or the
 * hypercall that took the page away has, and with it every answer to INVALIDATE.
 *
 * A device model notes xensim_oracle_now(), looks the address up, reads the word and asks
 * xensim_oracle_check(). 1: the word can have held this value since then; 0: it cannot: the
 * mapping was stale, or a write went astray; -ENOENT: nothing is known (never stored to, too
 * many stores since, or its page was changed from outside, or silently by a populate over it).
 *
 * Each word, and the page it is in, belongs to one vCPU: only its program stores there and
 * makes hypercalls on it.
 */
int xensim_oracle_store(struct xensim_vcpu *vcpu, uint64_t gpa, uint64_t value);
uint64_t xensim_oracle_now(void);
int xensim_oracle_check(struct xensim_domain *domain, uint64_t gpa, uint64_t value, uint64_t since);

#endif
