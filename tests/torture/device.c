/* SPDX-License-Identifier: MIT */
/* A cache and its ioreq server, with options as the dice fall, and what the server serves. */
#include <errno.h>
#include <string.h>

#include "torture.h"

#define DRAIN_MS 120000 /* never given up: then sections really are over */

static void choose_options(struct device *device, uint64_t *random)
{
	static const uint32_t shifts[] = { 12, 16, 20, 21 };
	struct mapcache_options *options = &device->options;
	uint64_t bucket;

	*options = (struct mapcache_options){ .size = sizeof(*options) };
	options->domid = device->domain->rig.domid;
	options->bucket_shift = shifts[random_below(random, 4)];
	bucket = UINT64_C(1) << options->bucket_shift;
	if (one_in(random, 3))
		options->granule_shift =
			options->bucket_shift > 18 ? options->bucket_shift - 6 : 12;
	options->stripes = 1u << random_below(random, 7);
	options->reclaim_ms = 1 + (uint32_t)random_below(random, 40);
	options->flags = (one_in(random, 2) ? MAPCACHE_NO_MEMBARRIER : 0) |
			 (one_in(random, 2) ? MAPCACHE_NO_RECLAIM_THREAD : 0) |
			 (one_in(random, 4) ? MAPCACHE_NO_BATCHES : 0);
	/*
	 * Room for every bucket of the guest, stale ones and pinned ones beside it; less for large
	 * ones, whose pages, scattered as they are, each cost the simulated host a mapping.
	 */
	options->max_bytes = options->bucket_shift < 20 ? 8 * RAM_PAGES * PAGE + 64 * bucket
							: RAM_PAGES * PAGE + 24 * bucket;
	options->guest_limit = one_in(random, 2) ? UINT64_C(1) << 34 : 0;
	/* The first of a domain has room: where all wait for room little is checked. */
	device->tight = device->number && !one_in(random, 3);
	if (device->tight) {
		options->max_bytes = (4 + random_below(random, 12)) * bucket;
		options->max_stale_bytes = 4 * bucket;
		options->max_vmas = one_in(random, 2) ? 64 : 0;
	}
	device->anywhere = one_in(random, 4);
	if (device->anywhere)
		options->granule_shift = 0; /* one call maps a bucket */
	told_options(device);
}

/* The device's registers: what is written to them by string output must be stamps. */
static void copy_from_guest(struct witness *witness, struct mapcache_client *client,
			    struct mapcache_request *request, uint64_t *copied)
{
	uint64_t page = request->data / PAGE, floor = page_floor(witness->domain, page), value = 0;
	int64_t moved = mapcache_ioreq_copy(client, request, 0, 1, &value);

	if (moved != 1) {
		judge_error(witness, page, floor, moved < 0 ? (int)-moved : EFAULT, false);
		return;
	}
	judge_value(witness, page, floor, value);
	__atomic_fetch_add(copied, 1, __ATOMIC_RELEASE);
}

static void copy_to_guest(struct witness *witness, struct mapcache_client *client,
			  struct mapcache_request *request, uint64_t *copied)
{
	uint64_t page = request->data / PAGE, floor = page_floor(witness->domain, page);
	uint64_t value = ~request->data, log = log_begin(witness->device);
	int64_t moved = mapcache_ioreq_copy(client, request, 0, 1, &value);

	if (moved != 1) {
		judge_error(witness, page, floor, moved < 0 ? (int)-moved : EFAULT, true);
		return;
	}
	judge_reported(witness, log, page, 1);
	judge_write(witness, page, floor, request->data, value);
	__atomic_fetch_add(copied, 1, __ATOMIC_RELEASE);
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct device *device = data;
	struct witness *witness = &device->handler[request->vcpu];

	/* Of the two items the first is what it is about: one alone goes through a register. */
	must(request->data_is_ptr && request->count == 2 && request->size == 8);
	if (request->write)
		copy_from_guest(witness, client, request, &device->copied[request->vcpu]);
	else
		copy_to_guest(witness, client, request, &device->copied[request->vcpu]);
	return 0;
}

void device_open(struct device *device, struct domain *domain, unsigned int number,
		 uint64_t *random)
{
	struct rig_device_options model = { .handler = handle,
					    .handler_data = device,
					    .no_ranges = true };

	memset(device, 0, sizeof(*device));
	device->domain = domain;
	device->number = number;
	device->visitor = number >= CACHES;
	must(!pthread_mutex_init(&device->lock, NULL));
	must(!pthread_mutex_init(&device->log_lock, NULL));
	for (unsigned int i = 0; i < VCPUS; i++)
		device->handler[i] = (struct witness){ .device = device,
						       .domain = domain,
						       .doing = "serving a request" };
	choose_options(device, random);
	must(!mapcache_open(&device->options, &device->cache));
	model.cache = device->cache;
	model.flags = domain->drain ? MAPCACHE_IOREQ_DRAIN : 0;
	model.drain_ms = DRAIN_MS;
	model.threads = 1 + (uint32_t)random_below(random, 2);
	rig_device_open(&device->model, &domain->rig, &model);
	if (!device->visitor)
		must(!mapcache_ioreq_add_range(device->model.server, MAPCACHE_IOREQ_MEMORY,
					       DEVICE_MMIO(number),
					       DEVICE_MMIO(number) + PAGE - 1));
	rig_device_serve(&device->model);
	/* What is enabled may be enabled again, and ranges come and go. */
	must(!mapcache_ioreq_enable(device->model.server, true));
	must(mapcache_ioreq_vcpu_port(device->model.server, 0) > 0);
	must(!mapcache_ioreq_add_range(device->model.server, MAPCACHE_IOREQ_PORT,
				       DEVICE_PORT(number), DEVICE_PORT(number)));
	must(!mapcache_ioreq_remove_range(device->model.server, MAPCACHE_IOREQ_PORT,
					  DEVICE_PORT(number), DEVICE_PORT(number)));
	/* From here on silent changes are announced to this cache, too. */
	pthread_mutex_lock(&domain->devices_lock);
	device->next = domain->devices;
	domain->devices = device;
	pthread_mutex_unlock(&domain->devices_lock);
}

static void leave_domain(struct device *device)
{
	struct domain *domain = device->domain;
	struct device **link = &domain->devices;

	pthread_mutex_lock(&domain->devices_lock);
	while (*link != device)
		link = &(*link)->next;
	*link = device->next;
	pthread_mutex_unlock(&domain->devices_lock);
}

/* Whatever was stale can be given back: nobody uses or pins anything any more. */
static void reclaim_all(struct device *device)
{
	uint64_t left = 1;

	device->handler[0].doing = "reclaiming all";
	mapcache_invalidate(device->cache);
	for (int i = 0; i < 2000 && left; i++) {
		left = mapcache_reclaim(device->cache, UINT64_MAX);
		if (left)
			pause_us(1000);
	}
	if (left) {
		(void)mapcache_dump(device->cache, stderr);
		fail(&device->handler[0], 0, "something stays stale", 0, left);
	}
}

void device_close(struct device *device)
{
	struct round *round = device->domain->round;

	leave_domain(device);
	rig_device_close(&device->model);
	device_release_parcels(device);
	if (!device->visitor && !round->faults)
		reclaim_all(device);
	must(!mapcache_close(device->cache));
	pthread_mutex_destroy(&device->lock);
	pthread_mutex_destroy(&device->log_lock);
	for (unsigned int i = 0; i < VCPUS; i++)
		__atomic_fetch_add(&round->checked, device->handler[i].checked, __ATOMIC_RELAXED);
}

void device_release_parcels(struct device *device)
{
	for (unsigned int i = 0; i < PARCELS; i++) {
		if (device->parcel[i].pointer)
			must(!mapcache_unpin(device->cache, device->parcel[i].pointer, 0));
		device->parcel[i].pointer = NULL;
	}
}
