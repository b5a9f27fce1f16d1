/* SPDX-License-Identifier: MIT */
/*
 * Everybody else: a toolstack that changes guests from outside, visitors (device models that come
 * and go), and a janitor, who reclaims where no thread does and makes calls fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define TOOLSTACK_PAUSE_US 300u

static uint64_t toolstack_page(uint64_t *random)
{
	uint64_t page;

	do
		page = any_page(random);
	while (page_owner(page) != PAGE_OWNERS - 1);
	return page;
}

static void write_stamp(struct domain *domain, uint64_t page, uint64_t stamp)
{
	must(!xensim_guest_write(domain->guest, stamp_gpa(page), &stamp, sizeof(stamp)));
}

static bool stopping(struct domain *domain)
{
	return is_set(&domain->round->stop_outside);
}

/* A hypercall that began after now has ended on a vCPU: it has delivered what was due. */
static bool wait_turn(struct domain *domain)
{
	uint64_t turn = __atomic_load_n(&domain->turns[0], __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&domain->turns[0], __ATOMIC_ACQUIRE) < turn + 2)
		pause_us(50);
	return !stopping(domain);
}

/* Told late: every vCPU sends INVALIDATE at its next entry. */
static void take_and_give(struct domain *domain, uint64_t page)
{
	page_change(domain, page);
	if (xensim_outside_remove(domain->guest, page) != 1) {
		/* No memory to shatter a superpage: the page is as it was. */
		write_stamp(domain, page, page_next_stamp(domain, page) + 1);
		page_replaced(domain, page, false);
		page_settle(domain, page);
		return;
	}
	wait_turn(domain);
	page_replaced(domain, page, domain->drain);
	must(xensim_outside_populate(domain->guest, &page, 1, 0) == 1);
	write_stamp(domain, page, page_next_stamp(domain, page));
	page_settle(domain, page);
}

/* Where it can be unmapped at once it is, unless somebody holds it: fresh afterwards either way. */
static void tell_range(struct device *device, uint64_t page)
{
	int error;

	if (!device->anywhere) {
		must(!mapcache_invalidate_range(device->cache, stamp_gpa(page), 8));
		return;
	}
	error = mapcache_unmap(device->cache, stamp_gpa(page), 8, 1);
	must(!error || error == -ETIMEDOUT);
}

/*
 * Not told at all (x86): whoever changes it tells the caches, by range, or by an invalidation
 * after which all sections are waited for.
 */
static void replace_silently(struct domain *domain, uint64_t page, bool by_range)
{
	bool done;

	page_change(domain, page);
	pthread_mutex_lock(&domain->devices_lock);
	done = xensim_outside_populate(domain->guest, &page, 1, 0) == 1;
	for (struct device *device = domain->devices; device; device = device->next) {
		if (by_range)
			tell_range(device, page);
		else
			must(!mapcache_drain(device->cache, mapcache_invalidate(device->cache), -1,
					     0));
	}
	pthread_mutex_unlock(&domain->devices_lock);
	if (!done)
		write_stamp(domain, page, page_next_stamp(domain, page) + 1);
	page_replaced(domain, page, done && !by_range);
	if (done)
		write_stamp(domain, page, page_next_stamp(domain, page));
	page_settle(domain, page);
}

/* Read-only, or paged out, for a moment. */
static void retype(struct domain *domain, uint64_t page, enum xensim_p2m_type type)
{
	page_change(domain, page);
	if (!xensim_p2m_set_type(domain->guest, page, 1, type)) {
		pause_us(500);
		must(!xensim_p2m_set_type(domain->guest, page, 1, XENSIM_RAM));
	}
	write_stamp(domain, page, page_next_stamp(domain, page) + 1);
	page_replaced(domain, page, false);
	page_settle(domain, page);
}

void *toolstack_run(void *data)
{
	struct domain *domain = data;
	uint64_t random = domain->round->seed ^ (domain->number + 1) * 0x70001;

	while (!stopping(domain)) {
		uint64_t page = toolstack_page(&random);

		switch (random_below(&random, 8)) {
		case 0:
		case 1:
			take_and_give(domain, page);
			break;
		case 2:
		case 3:
		case 4:
			replace_silently(domain, page, true);
			break;
		case 5:
			replace_silently(domain, page, false);
			break;
		case 6:
			retype(domain, page,
			       random_below(&random, 2) ? XENSIM_DENIED : XENSIM_RAM_RO);
			break;
		default:
			retype(domain, page, XENSIM_PAGED_OUT);
		}
		pause_us(random_below(&random, TOOLSTACK_PAUSE_US));
	}
	return NULL;
}

static void visit(struct domain *domain, uint64_t *random)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct device *device = calloc(1, sizeof(*device));

	must(worker && device);
	device_open(device, domain, CACHES, random);
	worker->number = CACHES * WORKERS;
	worker->least = 200 + random_below(random, 2000);
	worker->witness = (struct witness){ .device = device,
					    .domain = domain,
					    .random = random_next(random) };
	(void)worker_run(worker);
	/* The end of a server and of an arena are final. */
	pthread_mutex_lock(&domain->round->faults_lock);
	xensim_fail(XENSIM_CALL_UNMAP, 0, 0);
	device_close(device);
	pthread_mutex_unlock(&domain->round->faults_lock);
	free(worker);
	free(device);
}

void *visitor_run(void *data)
{
	struct domain *domain = data;
	uint64_t random = domain->round->seed ^ (domain->number + 1) * 0x30001;

	while (!is_set(&domain->round->stop_workers)) {
		visit(domain, &random);
		pause_us(random_below(&random, 2000));
	}
	return NULL;
}

static void inject(struct round *round, uint64_t *random)
{
	pthread_mutex_lock(&round->faults_lock);
	switch (random_below(random, 4)) {
	case 0:
		xensim_fail(XENSIM_CALL_MAP, 1 + random_below(random, 8), EIO);
		break;
	case 1:
		xensim_fail(XENSIM_CALL_UNMAP, 1 + random_below(random, 8), ENOMEM);
		break;
	case 2:
		xensim_fail_pages(1 + random_below(random, 8),
				  1 + (unsigned int)random_below(random, 4), EIO);
		break;
	default:
		xensim_fail_shatter(round->domain[random_below(random, DOMAINS)].guest, 1);
	}
	pthread_mutex_unlock(&round->faults_lock);
}

void *janitor_run(void *data)
{
	struct round *round = data;
	uint64_t random = round->seed ^ 0x50001;

	while (!is_set(&round->stop_workers)) {
		for (unsigned int i = 0; i < DOMAINS * CACHES; i++) {
			struct device *device = &round->device[i / CACHES][i % CACHES];

			if (device->options.flags & MAPCACHE_NO_RECLAIM_THREAD)
				(void)mapcache_reclaim(device->cache, 64 * PAGE);
		}
		if (round->faults)
			inject(round, &random);
		pause_us(500);
	}
	return NULL;
}
