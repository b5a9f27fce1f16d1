/* SPDX-License-Identifier: MIT */
/*
 * What the library tells others, and whether it does. The log of modified pages: what a thread
 * wrote is reported by that thread before the call that ends the write returns, so that what this
 * thread has reported since the write began is all there is to look at. And notify: which page of
 * the guest each page of our address space shows.
 */
#include <string.h>

#include "torture.h"

#define LOG_ON UINT64_C(1)

static __thread uint64_t reported[RAM_PAGES / 64];

/* ---- the log of modified pages ----------------------------------------------------------- */

static void note(const struct mapcache_extent *extent)
{
	for (uint64_t gfn = extent->gfn; gfn < extent->gfn + extent->pages && gfn < RAM_PAGES;
	     gfn++)
		reported[gfn / 64] |= UINT64_C(1) << gfn % 64;
}

static int modified(void *state, const struct mapcache_extent *extents, size_t count)
{
	int error = mapcache_backend_xen.modified(state, extents, count);

	for (size_t i = 0; i < count && !error; i++)
		note(&extents[i]);
	return error;
}

/* The state changes before the log is switched off, and after it has been switched on. */
void log_switch(struct device *device, bool on)
{
	uint64_t log;

	pthread_mutex_lock(&device->log_lock);
	log = __atomic_load_n(&device->log, __ATOMIC_RELAXED);
	if (!on)
		__atomic_store_n(&device->log, (log + 2) & ~LOG_ON, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	must(!mapcache_dirty_log_wait(device->cache, on, -1));
	if (on)
		__atomic_store_n(&device->log, (log + 2) | LOG_ON, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&device->log_lock);
}

uint64_t log_begin(struct device *device)
{
	memset(reported, 0, sizeof(reported));
	return __atomic_load_n(&device->log, __ATOMIC_ACQUIRE);
}

void judge_reported(struct witness *witness, uint64_t log, uint64_t page, uint64_t pages)
{
	/* The library's look at its switch comes before this one: see log_switch(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(log & LOG_ON) || __atomic_load_n(&witness->device->log, __ATOMIC_RELAXED) != log)
		return;
	for (uint64_t end = page + pages; page < end; page++) {
		witness->checked++;
		if (!(reported[page / 64] >> page % 64 & 1))
			fail(witness, page, "a modified page is not reported", 1, 0);
	}
}

/* ---- who shows what ---------------------------------------------------------------------- */

static uint64_t *shown_at(struct device *device, const void *address)
{
	return &device->shown[((uintptr_t)address / PAGE) % SHOWN];
}

/* Failed calls are told again. */
static void told(void *data, enum mapcache_event event, uint64_t gpa, void *address, uint64_t len)
{
	struct device *device = data;
	bool faults = device->domain->round->faults;

	must(len && !(gpa % PAGE) && !(len % PAGE) && !((uintptr_t)address % PAGE));
	for (uint64_t offset = 0; offset < len; offset += PAGE) {
		uint64_t *shown = shown_at(device, (char *)address + offset);
		uint64_t before = __atomic_load_n(shown, __ATOMIC_RELAXED);
		uint64_t now = (gpa + offset) / PAGE + 1;

		if (event == MAPCACHE_EVENT_ADDED)
			must(!before || faults);
		else
			must(before == now || faults);
		__atomic_store_n(shown, event == MAPCACHE_EVENT_ADDED ? now : 0, __ATOMIC_RELAXED);
	}
}

void judge_told(struct witness *witness, uint64_t page, const void *pointer)
{
	struct device *device = witness->device;
	uint64_t shown;

	if (!device->options.notify)
		return;
	shown = __atomic_load_n(shown_at(device, pointer), __ATOMIC_RELAXED);
	witness->checked++;
	if (shown != page + 1)
		fail(witness, page, "notify has told otherwise", page + 1, shown);
}

void told_options(struct device *device)
{
	device->backend = mapcache_backend_xen;
	device->backend.modified = modified;
	device->options.backend = &device->backend;
	/* Only an arena's addresses are near enough to one another for the table. */
	if (device->anywhere) {
		device->backend.flags &= ~MAPCACHE_BACKEND_FIXED;
		return;
	}
	device->options.notify = told;
	device->options.notify_data = device;
}
