/* SPDX-License-Identifier: MIT */
/* Injected failures and hooks. Everything is off until a test asks for it. */
#include <stdlib.h>

#include "private.h"

struct countdown {
	uint64_t left; /* atomic: the call that finds 1 is hit; 0: off */
	int error;     /* -errno */
	unsigned int step;
};

static struct countdown calls[XENSIM_CALL_COUNT];
static struct countdown pages;

#define HANGS_MAX 16
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int armed; /* atomic to read without the lock */
	unsigned int hanging;
	uint64_t release; /* counts xensim_unhang() */
	uint32_t domid[HANGS_MAX];
	uint64_t gfn[HANGS_MAX];
} hangs = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct {
	pthread_mutex_t lock;
	xensim_map_hook map;
	void *map_data;
	xensim_request_hook request;
	void *request_data;
	bool any; /* atomic */
} hooks = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void arm(struct countdown *countdown, uint64_t nth, unsigned int step, int error)
{
	store_relaxed(&countdown->left, UINT64_C(0));
	store_relaxed(&countdown->error, -abs(error));
	store_relaxed(&countdown->step, step);
	/* Release: pairs with the acquire of count(): who is hit sees the error. */
	store_release(&countdown->left, error ? nth : 0);
}

static bool count(struct countdown *countdown)
{
	uint64_t left = load_acquire(&countdown->left);

	while (left)
		if (__atomic_compare_exchange_n(&countdown->left, &left, left - 1, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return left == 1;
	return false;
}

void xensim_fail(enum xensim_call call, uint64_t nth, int error)
{
	arm(&calls[call], nth, 0, error);
}

void xensim_fail_pages(uint64_t nth, unsigned int step, int error)
{
	arm(&pages, nth, step ? step : 1, error);
}

int fault_check(enum xensim_call call)
{
	return count(&calls[call]) ? load_relaxed(&calls[call].error) : 0;
}

void fault_pages(unsigned int *step, int *error)
{
	bool hit = count(&pages);

	*step = hit ? load_relaxed(&pages.step) : 0;
	*error = hit ? load_relaxed(&pages.error) : 0;
}

void xensim_hang(struct xensim_domain *domain, uint64_t gfn)
{
	pthread_mutex_lock(&hangs.lock);
	if (hangs.armed < HANGS_MAX) {
		hangs.domid[hangs.armed] = domain->domid;
		hangs.gfn[hangs.armed] = gfn;
		store_relaxed(&hangs.armed, hangs.armed + 1);
	}
	pthread_mutex_unlock(&hangs.lock);
}

void xensim_unhang(void)
{
	pthread_mutex_lock(&hangs.lock);
	store_relaxed(&hangs.armed, 0);
	hangs.release++;
	pthread_cond_broadcast(&hangs.changed);
	pthread_mutex_unlock(&hangs.lock);
}

unsigned int xensim_hanging(void)
{
	unsigned int hanging;

	pthread_mutex_lock(&hangs.lock);
	hanging = hangs.hanging;
	pthread_mutex_unlock(&hangs.lock);
	return hanging;
}

static bool hits_locked(uint32_t domid, const xen_pfn_t *gfn, size_t count_of_pages)
{
	unsigned int i;
	size_t page;

	for (i = 0; i < hangs.armed; i++)
		for (page = 0; hangs.domid[i] == domid && page < count_of_pages; page++)
			if (gfn[page] == hangs.gfn[i])
				return true;
	return false;
}

void fault_hang(uint32_t domid, const xen_pfn_t *gfn, size_t count_of_pages)
{
	if (!load_relaxed(&hangs.armed))
		return;
	pthread_mutex_lock(&hangs.lock);
	if (hits_locked(domid, gfn, count_of_pages)) {
		uint64_t release = hangs.release;

		hangs.hanging++;
		while (release == hangs.release)
			pthread_cond_wait(&hangs.changed, &hangs.lock);
		hangs.hanging--;
	}
	pthread_mutex_unlock(&hangs.lock);
}

static void hooks_changed_locked(void)
{
	store_relaxed(&hooks.any, hooks.map || hooks.request);
}

void xensim_set_map_hook(xensim_map_hook hook, void *data)
{
	pthread_mutex_lock(&hooks.lock);
	hooks.map = hook;
	hooks.map_data = data;
	hooks_changed_locked();
	pthread_mutex_unlock(&hooks.lock);
}

void xensim_set_request_hook(xensim_request_hook hook, void *data)
{
	pthread_mutex_lock(&hooks.lock);
	hooks.request = hook;
	hooks.request_data = data;
	hooks_changed_locked();
	pthread_mutex_unlock(&hooks.lock);
}

void fault_map_hook(bool end, uint64_t gfn, size_t count_of_pages)
{
	xensim_map_hook hook;
	void *data;

	if (!load_relaxed(&hooks.any))
		return;
	pthread_mutex_lock(&hooks.lock);
	hook = hooks.map;
	data = hooks.map_data;
	pthread_mutex_unlock(&hooks.lock);
	if (hook)
		hook(data, end, gfn, count_of_pages);
}

void fault_request_hook(uint32_t domid, uint16_t server, uint32_t vcpu, const struct ioreq *request)
{
	xensim_request_hook hook;
	void *data;

	if (!load_relaxed(&hooks.any))
		return;
	pthread_mutex_lock(&hooks.lock);
	hook = hooks.request;
	data = hooks.request_data;
	pthread_mutex_unlock(&hooks.lock);
	if (hook)
		hook(data, domid, server, vcpu, request);
}

void fault_reset(void)
{
	unsigned int i;

	for (i = 0; i < XENSIM_CALL_COUNT; i++)
		arm(&calls[i], 0, 0, 0);
	arm(&pages, 0, 0, 0);
	xensim_unhang();
	xensim_set_map_hook(NULL, NULL);
	xensim_set_request_hook(NULL, NULL);
}
