/* SPDX-License-Identifier: MIT */
/* See the header. */
#include "bench/virtual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "lib/reclaim/reclaim.h"

#define PAGE_SHIFT 12
/* Pages of address space, more than any cache here reserves: where a page is in it says which
 * it is. */
#define SHADOW_PAGES (UINT64_C(1) << 22)

const struct virtual_cost virtual_costs[] = {
	{ "pv", 9860, 137.3, 5650, 349 },
	{ "arm", 9020, 980, 14160, 843 },
	{ "pv-emulated", 6500, 83, 4000, 195 },
	{ "arm-emulated", 6200, 235, 5000, 385 },
};
const unsigned int virtual_costs_count = sizeof(virtual_costs) / sizeof(virtual_costs[0]);

const struct virtual_cost *virtual_cost_find(const char *name)
{
	for (unsigned int i = 0; i < virtual_costs_count; i++)
		if (!strcmp(virtual_costs[i].name, name))
			return &virtual_costs[i];
	return NULL;
}

static struct {
	const struct virtual_storm *storm; /* NULL: time is real */
	struct mapcache *cache;
	uint8_t *shadow; /* which pages are mapped */
	uint64_t now, reclaim_now, next_epoch, next_look, period;
	bool reclaiming, started;
	uint32_t sent;
	uint64_t accesses;
	struct virtual_result sum;
} world;

uint64_t __wrap_clock_ns(void);
uint64_t __real_clock_ns(void);
void __wrap_clock_sleep_ns(uint64_t ns);
void __real_clock_sleep_ns(uint64_t ns);
void __wrap_pace_pause(struct pace *pace);
void __real_pace_pause(struct pace *pace);

/* INVALIDATEs come when they are due, in the middle of a map call as well. */
static void pass(uint64_t ns)
{
	if (world.reclaiming)
		world.reclaim_now += ns;
	if (!world.reclaiming || world.storm->processors == 1)
		world.now += ns;
	while (world.started && world.now >= world.next_epoch) {
		mapcache_invalidate(world.cache);
		world.next_epoch += CLOCK_SECOND / world.storm->rate;
		world.sent++;
	}
}

static void spend(double ns)
{
	world.sum.all_ns += ns;
	if (!world.reclaiming)
		world.sum.reader_ns += ns;
	pass((uint64_t)ns);
}

uint64_t __wrap_clock_ns(void)
{
	if (!world.storm)
		return __real_clock_ns();
	return CLOCK_SECOND + (world.reclaiming ? world.reclaim_now : world.now);
}

void __wrap_clock_sleep_ns(uint64_t ns)
{
	if (world.storm)
		pass(ns);
	else
		__real_clock_sleep_ns(ns);
}

/* Pauses are for other threads, of which there are none. */
void __wrap_pace_pause(struct pace *pace)
{
	if (!world.storm)
		__real_pace_pause(pace);
}

/* ---- the backend ------------------------------------------------------------------------ */

static uint64_t shadow_set(const void *address, size_t pages, uint8_t value)
{
	uint64_t first = (uintptr_t)address >> PAGE_SHIFT, before = 0;

	for (size_t i = 0; i < pages; i++) {
		uint8_t *page = &world.shadow[(first + i) & (SHADOW_PAGES - 1)];

		before += *page;
		*page = value;
	}
	return before;
}

static int virtual_open(void *data, uint32_t domid, void **state)
{
	(void)data;
	(void)domid;
	*state = &world;
	return 0;
}

static void virtual_close(void *state)
{
	(void)state;
}

/* Nobody touches it: the reservation stands for guest memory. */
static void *virtual_map_frames(void *state, void *address, const uint64_t *gfns, size_t pages,
				int prot, int *error)
{
	const struct virtual_cost *cost = world.storm->cost;
	uint64_t over = shadow_set(address, pages, 1);

	(void)state;
	(void)gfns;
	(void)prot;
	memset(error, 0, pages * sizeof(*error));
	world.sum.calls++;
	world.sum.pages += (double)pages;
	world.sum.unmapped += (double)over;
	spend(cost->map_call + cost->map_page * (double)pages +
	      (over ? 0.4 * cost->unmap_call + cost->unmap_page * (double)over : 0));
	return address;
}

static void *virtual_map(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			 int *error)
{
	return virtual_map_frames(state, address, &gfn, pages, prot, error);
}

static int virtual_unmap(void *state, void *address, size_t pages, int keep)
{
	const struct virtual_cost *cost = world.storm->cost;
	uint64_t gone = shadow_set(address, pages, 0);

	(void)state;
	(void)keep;
	world.sum.unmaps++;
	world.sum.unmapped += (double)gone;
	spend(cost->unmap_call + cost->unmap_page * (double)gone);
	return 0;
}

static const struct mapcache_backend virtual_backend = {
	.size = sizeof(virtual_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = virtual_open,
	.close = virtual_close,
	.map = virtual_map,
	.unmap = virtual_unmap,
	.map_frames = virtual_map_frames,
};

/* ---- a storm ---------------------------------------------------------------------------- */

/* What the reclaim thread does when it is due, and when it wants to be woken. */
static void reclaim_if_due(void)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t delay;

	/* The thread is told of work when it looks seldom. */
	if (world.now < world.next_look &&
	    (world.next_look - world.now <= world.period || !reclaim_wanted(world.cache)))
		return;
	mapcache_stats(world.cache, &stats);
	if (stats.stale_bytes > world.sum.stale_peak)
		world.sum.stale_peak = stats.stale_bytes;
	world.reclaiming = true;
	world.reclaim_now = world.now;
	delay = reclaim_look(world.cache);
	world.reclaiming = false;
	world.next_look = world.reclaim_now > world.now ? world.reclaim_now : world.now;
	world.next_look += delay;
	if (!world.period || delay < world.period)
		world.period = delay;
}

static int look_up(struct mapcache_client *client, uint64_t gpa, uint64_t len)
{
	int error;

	mapcache_begin(client);
	error = mapcache_ptr(client, gpa, (size_t)len, PROT_READ) ? 0 : -errno;
	mapcache_end(client);
	world.accesses++;
	pass(VIRTUAL_HIT_NS);
	reclaim_if_due();
	return error;
}

/* Idle from the end of one request to the next: reclaim and INVALIDATE go on. */
static void wait_until(uint64_t when)
{
	while (world.now < when) {
		uint64_t next =
			world.next_look < world.next_epoch ? world.next_look : world.next_epoch;

		next = next < when ? next : when;
		pass(next > world.now ? next - world.now : 0);
		reclaim_if_due();
	}
}

/* Until so many INVALIDATEs have been sent. */
static int serve(struct mapcache_client *client, uint32_t epochs, uint64_t *next)
{
	const struct virtual_storm *storm = world.storm;
	uint64_t request = world.now;
	int error = 0;

	for (uint32_t end = world.sent + epochs, i = 0; world.sent < end && !error; i++) {
		uint64_t gpa = storm->workload->gpa[(*next)++ & storm->workload->mask];

		if (storm->requests && i && i % storm->burst == 0) {
			request += CLOCK_SECOND / storm->requests;
			wait_until(request);
		}
		error = look_up(client, gpa & ~WORKLOAD_FLAGS, storm->len);
	}
	return error;
}

static int measure(struct mapcache_client *client)
{
	const struct virtual_storm *storm = world.storm;
	uint64_t next = 0, since;
	int error = 0;

	for (uint64_t i = 0; storm->populate && i < storm->buckets && !error; i++)
		error = look_up(client, i << 20, UINT64_C(1) << 20);
	world.started = true;
	world.next_epoch = world.now + CLOCK_SECOND / storm->rate;
	if (!error)
		error = serve(client, storm->warm_up, &next);
	world.sum = (struct virtual_result){ 0 };
	world.accesses = 0;
	since = world.now;
	if (!error)
		error = serve(client, storm->epochs, &next);
	world.sum.accesses_per_second = (double)world.accesses * 1e9 / (double)(world.now - since);
	world.started = false;
	return error;
}

static void per_epoch(struct virtual_result *result, double epochs)
{
	result->calls /= epochs;
	result->pages /= epochs;
	result->unmaps /= epochs;
	result->unmapped /= epochs;
	result->reader_ns /= epochs;
	result->all_ns /= epochs;
}

int virtual_run(const struct virtual_storm *storm, struct virtual_result *result)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = 1,
		.flags = MAPCACHE_NO_RECLAIM_THREAD,
		.reclaim_ms = storm->reclaim_ms,
		.max_bytes = (2 * storm->buckets + 64) << 20,
		.backend = &virtual_backend,
	};
	struct mapcache_client *client;
	int error;

	if (storm->no_batches)
		options.flags |= MAPCACHE_NO_BATCHES;
	memset(&world, 0, sizeof(world));
	world.shadow = calloc(SHADOW_PAGES, 1);
	if (!world.shadow)
		return -ENOMEM;
	world.storm = storm;
	error = mapcache_open(&options, &world.cache);
	if (error)
		goto free_shadow;
	error = mapcache_client_open(world.cache, &client);
	if (!error) {
		error = measure(client);
		*result = world.sum;
		per_epoch(result, storm->epochs);
		mapcache_client_close(client);
	}
	mapcache_close(world.cache);
free_shadow:
	world.storm = NULL;
	free(world.shadow);
	return error;
}
