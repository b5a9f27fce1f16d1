/* SPDX-License-Identifier: MIT */
/* The simulated host: start, stop, totals, what calls cost. */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

struct host host = { .domains_lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void spend(uint64_t ns)
{
	uint64_t end;

	if (!ns)
		return;
	end = time_now() + ns;
	while (time_now() < end)
		;
}

static uint64_t random_of_jitter(void)
{
	static __thread uint64_t random;
	static uint64_t threads;

	if (!random)
		random = (host.options.seed + add_relaxed(&threads, UINT64_C(1)) + 1) *
			 UINT64_C(0x9e3779b97f4a7c15);
	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random;
}

bool jitter_hits(unsigned int one_in)
{
	return host.options.jitter && (random_of_jitter() >> 20) % one_in == 0;
}

void jitter(void)
{
	uint64_t random;

	if (!host.options.jitter)
		return;
	random = random_of_jitter();
	if (!(random >> 58))
		usleep((unsigned int)(random % 100));
	else if (!(random >> 62))
		sched_yield();
}

/* call + pages * page gives 1 for one page and the measured factor for 256. */
static void linear(uint64_t unit_ns, double one, double many, uint64_t *call, uint64_t *page)
{
	double each = (many - one) / 255;

	*call = (uint64_t)((double)unit_ns * (one - each));
	*page = (uint64_t)((double)unit_ns * each);
}

struct xensim_cost xensim_cost_pv(uint64_t unit_ns)
{
	struct xensim_cost cost;

	linear(unit_ns, 1, 4.5, &cost.map_call, &cost.map_page);
	linear(unit_ns, 0.6, 9.5, &cost.unmap_call, &cost.unmap_page);
	return cost;
}

struct xensim_cost xensim_cost_arm(uint64_t unit_ns)
{
	struct xensim_cost cost;

	linear(unit_ns, 1, 26, &cost.map_call, &cost.map_page);
	linear(unit_ns, 1.5, 23, &cost.unmap_call, &cost.unmap_page);
	return cost;
}

void xensim_set_cost(struct xensim_cost cost)
{
	store_relaxed(&host.options.cost.map_call, cost.map_call);
	store_relaxed(&host.options.cost.map_page, cost.map_page);
	store_relaxed(&host.options.cost.unmap_call, cost.unmap_call);
	store_relaxed(&host.options.cost.unmap_page, cost.unmap_page);
}

uint64_t cost_of_map(size_t pages)
{
	return load_relaxed(&host.options.cost.map_call) +
	       pages * load_relaxed(&host.options.cost.map_page);
}

uint64_t cost_of_unmap(size_t pages)
{
	return load_relaxed(&host.options.cost.unmap_call) +
	       pages * load_relaxed(&host.options.cost.unmap_page);
}

static void after_fork(void)
{
	registry_after_fork(false);
}

static void become_inherited(void)
{
	host.inherited = host.running;
	registry_after_fork(true);
}

static void watch_forks(void)
{
	pthread_atfork(registry_before_fork, after_fork, become_inherited);
}

int xensim_start(const struct xensim_options *options)
{
	static const struct xensim_options defaults;
	static pthread_once_t watching = PTHREAD_ONCE_INIT;
	int ret;

	if (host.running)
		return -EBUSY;
	pthread_once(&watching, watch_forks);
	host.options = options ? *options : defaults;
	if (!host.options.machine_pages)
		host.options.machine_pages = UINT64_C(1) << (30 - PAGE_SHIFT);
	ret = memory_init(host.options.machine_pages);
	if (ret)
		return ret;
	host.next_domid = 1;
	host.pages_owned = 0;
	host.pages_xen = 0;
	host.foreign_mappings = 0;
	host.foreign_pages = 0;
	host.map_calls = 0;
	host.unmap_calls = 0;
	host.splits_refused = 0;
	host.invalidates_sent = 0;
	host.invalidates_changes = 0;
	host.handles_open = 0;
	host.dom0_pages_used = 0;
	host.dom0_pages_peak = 0;
	host.dom0_out_of_memory = 0;
	host.protocol_errors = 0;
	host.requests_buffered = 0;
	host.running = true;
	return 0;
}

void xensim_totals(struct xensim_totals *totals)
{
	uint64_t busy;

	totals->pages_free = memory_free_pages();
	totals->pages_owned = load_relaxed(&host.pages_owned);
	busy = totals->pages_free + totals->pages_owned + load_relaxed(&host.pages_xen);
	/* Counted one after the other while others work: never below zero. */
	totals->pages_held = memory_pages() > busy ? memory_pages() - busy : 0;
	totals->foreign_mappings = load_relaxed(&host.foreign_mappings);
	totals->foreign_pages = load_relaxed(&host.foreign_pages);
	totals->map_calls = load_relaxed(&host.map_calls);
	totals->unmap_calls = load_relaxed(&host.unmap_calls);
	totals->splits_refused = load_relaxed(&host.splits_refused);
	totals->invalidates_sent = load_relaxed(&host.invalidates_sent);
	totals->invalidates_changes = load_relaxed(&host.invalidates_changes);
	totals->handles_open = load_relaxed(&host.handles_open);
	totals->requests_buffered = load_relaxed(&host.requests_buffered);
	totals->dom0_pages_used = load_relaxed(&host.dom0_pages_used);
	totals->dom0_pages_peak = load_relaxed(&host.dom0_pages_peak);
	totals->dom0_out_of_memory = load_relaxed(&host.dom0_out_of_memory);
}

uint64_t xensim_protocol_errors(void)
{
	return load_relaxed(&host.protocol_errors);
}

static uint64_t destroy_domains(void)
{
	uint64_t left = 0;
	uint32_t domid;

	for (domid = 0; domid < host.next_domid; domid++) {
		struct xensim_domain *domain = host.domains[domid];

		if (domain && !xensim_domain_destroy(domain))
			left++;
	}
	return left;
}

/* The program may still believe in these addresses: nobody else shall get them. */
static void drop_mappings(void)
{
	struct mapping *list, *mapping;

	host.options.allow_split = true;
	mapping_detach(0, SIZE_MAX, &list);
	for (mapping = list; mapping; mapping = mapping->next)
		__real_mmap((void *)mapping->base, mapping->pages << PAGE_SHIFT, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	mapping_drop(list);
}

static void free_domains(void)
{
	uint32_t domid;

	for (domid = 0; domid < host.next_domid; domid++) {
		if (host.domains[domid])
			domain_free(host.domains[domid]);
		host.domains[domid] = NULL;
	}
}

int xensim_stop(FILE *report)
{
	struct xensim_totals totals;
	uint64_t domains, lost;

	if (!host.running)
		return -EINVAL;
	fault_reset();
	domains = destroy_domains();
	xensim_totals(&totals);
	drop_mappings();
	lost = memory_pages() - memory_free_pages();
	if (report && (domains || totals.pages_held || totals.foreign_mappings ||
		       totals.handles_open || lost))
		fprintf(report,
			"xensim: leaked %" PRIu64 " domains, %" PRIu64 " mappings with %" PRIu64
			" page references, %" PRIu64 " pages held by them, %" PRIu64
			" pages lost, %" PRIu64 " handles\n",
			domains, totals.foreign_mappings, totals.foreign_pages, totals.pages_held,
			lost, totals.handles_open);
	evtchn_exit();
	oracle_exit();
	free_domains();
	registry_exit();
	memory_exit();
	host.running = false;
	return (int)(domains + totals.foreign_mappings + totals.pages_held + lost +
		     totals.handles_open);
}
