/* SPDX-License-Identifier: MIT */
/*
 * The guest's programs: they balloon, exchange and stamp the pages that are theirs, and have
 * device models copy from and to them.
 */
#include <errno.h>

#include "torture.h"

#define BATCH 4u
#define LULL_STEPS 64u
#define LULL_US 40000u

static uint64_t own_page(struct xensim_vcpu *vcpu, uint64_t *random)
{
	uint64_t page;

	do
		page = any_page(random);
	while (page_owner(page) != xensim_vcpu_id(vcpu));
	return page;
}

static void stamp_and_settle(struct xensim_vcpu *vcpu, struct domain *domain, uint64_t page)
{
	uint64_t stamp = page_next_stamp(domain, page);
	int error = xensim_store(vcpu, stamp_gpa(page), &stamp, sizeof(stamp));

	must(!error || error == -ESHUTDOWN);
	page_settle(domain, page);
}

/* The same page, another generation: here the stamp comes first. */
static void restamp(struct xensim_vcpu *vcpu, struct domain *domain, uint64_t page)
{
	uint64_t stamp;
	int error;

	page_change(domain, page);
	stamp = page_next_stamp(domain, page) + 1;
	error = xensim_store(vcpu, stamp_gpa(page), &stamp, sizeof(stamp));
	must(!error || error == -ESHUTDOWN);
	page_replaced(domain, page, false);
	page_settle(domain, page);
}

/* Distinct pages. */
static unsigned int choose(struct xensim_vcpu *vcpu, uint64_t *random, uint64_t *gfn)
{
	unsigned int count = 1 + (unsigned int)random_below(random, BATCH), n = 0;

	while (n < count) {
		unsigned int i = 0;

		gfn[n] = own_page(vcpu, random);
		while (gfn[i] != gfn[n])
			i++;
		n += i == n;
	}
	return n;
}

/* Several pages by one hypercall, and so by one INVALIDATE; then they come back. */
static void balloon(struct xensim_vcpu *vcpu, struct domain *domain, uint64_t *random)
{
	uint64_t gfn[BATCH];
	unsigned int count = choose(vcpu, random, gfn);
	int done;

	for (unsigned int i = 0; i < count; i++)
		page_change(domain, gfn[i]);
	done = xensim_decrease_reservation(vcpu, gfn, count, 0);
	must(done >= 0);
	/* Those that failed, for want of memory to shatter a superpage, are as they were. */
	for (unsigned int i = 0; i < (unsigned int)done; i++)
		page_replaced(domain, gfn[i], domain->drain);
	if (domain->pace_us && one_in(random, 8))
		pause_us(random_below(random, domain->pace_us));
	must(xensim_populate_physmap(vcpu, gfn, (unsigned int)done, 0) == done);
	for (unsigned int i = 0; i < count; i++) {
		if (i < (unsigned int)done)
			stamp_and_settle(vcpu, domain, gfn[i]);
		else
			restamp(vcpu, domain, gfn[i]);
	}
}

/* One page goes and another comes, in one hypercall or two. */
static void exchange(struct xensim_vcpu *vcpu, struct domain *domain, uint64_t *random)
{
	uint64_t page = own_page(vcpu, random);
	bool removed = false;
	int error;

	page_change(domain, page);
	switch (random_below(random, 3)) {
	case 0:
		error = xensim_exchange(vcpu, page);
		break;
	case 1:
		error = xensim_add_to_physmap(vcpu, page);
		break;
	default:
		error = xensim_remove_from_physmap(vcpu, page);
		removed = !error;
	}
	must(!error || error == -ENOMEM);
	if (error) {
		restamp(vcpu, domain, page);
		return;
	}
	page_replaced(domain, page, domain->drain);
	if (removed)
		must(xensim_populate_physmap(vcpu, &page, 1, 0) == 1);
	stamp_and_settle(vcpu, domain, page);
}

/* string output: the device model reads the stamp; input: it writes a word of a mailbox. */
static void ask_device(struct xensim_vcpu *vcpu, struct domain *domain, uint64_t *random)
{
	struct device *device =
		&domain->round->device[domain->number][random_below(random, CACHES)];
	uint32_t id = xensim_vcpu_id(vcpu);
	uint64_t page = own_page(vcpu, random), gpa, word = 0, before, register_gpa;

	register_gpa = DEVICE_MMIO(device->number) + 8 * (id + 1); /* with one on either side */
	if (page_use(page) != PAGE_MAILBOX) {
		(void)xensim_rep(vcpu, 1, register_gpa, stamp_gpa(page), 8, 2, true, false);
		return;
	}
	gpa = page * PAGE + PAGE - 16 * (id + 1); /* two items */
	(void)xensim_store(vcpu, gpa, &word, sizeof(word));
	before = __atomic_load_n(&device->copied[id], __ATOMIC_ACQUIRE);
	if (xensim_rep(vcpu, 1, register_gpa, gpa, 8, 2, false, one_in(random, 2)) ||
	    before == __atomic_load_n(&device->copied[id], __ATOMIC_ACQUIRE))
		return;
	must(!xensim_load(vcpu, gpa, &word, sizeof(word)));
	must(word == ~gpa);
}

void guest_program(struct xensim_vcpu *vcpu, void *data)
{
	struct domain *domain = data;
	uint32_t id = xensim_vcpu_id(vcpu);
	uint64_t random = domain->round->seed ^ (domain->number * VCPUS + id + 1) * 0x10001;

	while (!is_set(&domain->round->stop_guests)) {
		switch (random_below(&random, 8)) {
		case 0:
		case 1:
		case 2:
			balloon(vcpu, domain, &random);
			break;
		case 3:
		case 4:
			exchange(vcpu, domain, &random);
			break;
		case 5:
			restamp(vcpu, domain, own_page(vcpu, &random));
			break;
		default:
			ask_device(vcpu, domain, &random);
		}
		must(!xensim_nop_hypercall(vcpu));
		__atomic_fetch_add(&domain->turns[id], 1, __ATOMIC_RELEASE);
		if (domain->pace_us)
			pause_us(random_below(&random, domain->pace_us));
		/* And then a lull, in which mappings are used that stay current. */
		if (one_in(&random, LULL_STEPS))
			pause_us(random_below(&random, LULL_US));
	}
}
