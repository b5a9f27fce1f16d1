/* SPDX-License-Identifier: MIT */
/* vCPUs: a thread each that runs a guest program, and what it sleeps on. */
#include <stdlib.h>

#include "private.h"

int vcpu_init(struct xensim_domain *domain)
{
	uint32_t i;

	domain->vcpus = calloc(domain->vcpu_count, sizeof(*domain->vcpus));
	if (!domain->vcpus)
		return -ENOMEM;
	pthread_cond_init(&domain->vcpu_finished, NULL);
	for (i = 0; i < domain->vcpu_count; i++) {
		struct xensim_vcpu *vcpu = &domain->vcpus[i];

		vcpu->domain = domain;
		vcpu->id = i;
		pthread_mutex_init(&vcpu->lock, NULL);
		pthread_cond_init(&vcpu->wake, NULL);
	}
	return 0;
}

void vcpu_exit(struct xensim_domain *domain)
{
	uint32_t i;

	if (!domain->vcpus)
		return;
	for (i = 0; i < domain->vcpu_count; i++) {
		free(domain->vcpus[i].changed);
		pthread_cond_destroy(&domain->vcpus[i].wake);
		pthread_mutex_destroy(&domain->vcpus[i].lock);
	}
	pthread_cond_destroy(&domain->vcpu_finished);
	free(domain->vcpus);
}

static void *run(void *data)
{
	struct xensim_vcpu *vcpu = data;
	struct xensim_domain *domain = vcpu->domain;

	vcpu->program(vcpu, vcpu->data);
	pthread_mutex_lock(&domain->vcpu_lock);
	vcpu->finished = true;
	pthread_cond_broadcast(&domain->vcpu_finished);
	pthread_mutex_unlock(&domain->vcpu_lock);
	return NULL;
}

/* The program has returned: its thread is gone, or about to be. */
static void reap_locked(struct xensim_vcpu *vcpu)
{
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}

int xensim_vcpu_start(struct xensim_domain *domain, uint32_t id, xensim_program program, void *data)
{
	struct xensim_vcpu *vcpu;
	int ret = -EBUSY;

	if (id >= domain->vcpu_count || !program)
		return -EINVAL;
	vcpu = &domain->vcpus[id];
	pthread_mutex_lock(&domain->vcpu_lock);
	if (vcpu->started && vcpu->finished)
		reap_locked(vcpu);
	if (domain_stopping(domain)) {
		ret = -ESHUTDOWN;
	} else if (!vcpu->started) {
		store_relaxed(&domain->unpaused, true);
		vcpu->program = program;
		vcpu->data = data;
		vcpu->finished = false;
		ret = -pthread_create(&vcpu->thread, NULL, run, vcpu);
		vcpu->started = !ret;
	}
	pthread_mutex_unlock(&domain->vcpu_lock);
	return ret;
}

int xensim_vcpu_join(struct xensim_domain *domain, uint32_t id)
{
	struct xensim_vcpu *vcpu;

	if (id >= domain->vcpu_count)
		return -EINVAL;
	vcpu = &domain->vcpus[id];
	pthread_mutex_lock(&domain->vcpu_lock);
	while (vcpu->started && !vcpu->finished)
		pthread_cond_wait(&domain->vcpu_finished, &domain->vcpu_lock);
	if (vcpu->started)
		reap_locked(vcpu);
	pthread_mutex_unlock(&domain->vcpu_lock);
	return 0;
}

static bool is_me(struct xensim_domain *domain, struct xensim_vcpu *vcpu)
{
	bool me;

	pthread_mutex_lock(&domain->vcpu_lock);
	me = vcpu->started && pthread_equal(vcpu->thread, pthread_self());
	pthread_mutex_unlock(&domain->vcpu_lock);
	return me;
}

void vcpu_join_all(struct xensim_domain *domain)
{
	uint32_t i;

	for (i = 0; i < domain->vcpu_count; i++)
		if (!is_me(domain, &domain->vcpus[i]))
			xensim_vcpu_join(domain, i);
}

void vcpu_kick_all(struct xensim_domain *domain)
{
	uint32_t i;

	for (i = 0; i < domain->vcpu_count; i++)
		vcpu_event(&domain->vcpus[i]);
}

void vcpu_event(struct xensim_vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->events++;
	pthread_cond_broadcast(&vcpu->wake);
	pthread_mutex_unlock(&vcpu->lock);
}

uint64_t vcpu_events(struct xensim_vcpu *vcpu)
{
	uint64_t events;

	pthread_mutex_lock(&vcpu->lock);
	events = vcpu->events;
	pthread_mutex_unlock(&vcpu->lock);
	return events;
}

void vcpu_sleep(struct xensim_vcpu *vcpu, uint64_t seen)
{
	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->events == seen)
		pthread_cond_wait(&vcpu->wake, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
}

static void wait_while_paused(struct xensim_vcpu *vcpu)
{
	struct xensim_domain *domain = vcpu->domain;

	pthread_mutex_lock(&vcpu->lock);
	while (load_acquire(&domain->paused) && !domain_stopping(domain))
		pthread_cond_wait(&vcpu->wake, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
}

int vcpu_enter(struct xensim_vcpu *vcpu)
{
	if (load_acquire(&vcpu->domain->paused))
		wait_while_paused(vcpu);
	if (domain_stopping(vcpu->domain))
		return -ESHUTDOWN;
	return invalidate_at_entry(vcpu);
}

void xensim_domain_pause(struct xensim_domain *domain)
{
	store_release(&domain->paused, true);
}

void xensim_domain_unpause(struct xensim_domain *domain)
{
	store_relaxed(&domain->unpaused, true);
	store_release(&domain->paused, false);
	vcpu_kick_all(domain);
}

struct xensim_vcpu *xensim_vcpu(struct xensim_domain *domain, uint32_t id)
{
	return id < domain->vcpu_count ? &domain->vcpus[id] : NULL;
}

uint32_t xensim_vcpu_id(const struct xensim_vcpu *vcpu)
{
	return vcpu->id;
}

struct xensim_domain *xensim_vcpu_domain(struct xensim_vcpu *vcpu)
{
	return vcpu->domain;
}

bool xensim_vcpu_stopping(struct xensim_vcpu *vcpu)
{
	return domain_stopping(vcpu->domain);
}

void xensim_vcpu_wait(struct xensim_vcpu *vcpu, struct xensim_wait *wait)
{
	pthread_mutex_lock(&vcpu->lock);
	*wait = vcpu->wait;
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_account_wait(struct xensim_vcpu *vcpu, uint64_t ns)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->wait.invalidates++;
	vcpu->wait.total_ns += ns;
	vcpu->wait.last_ns = ns;
	if (ns > vcpu->wait.max_ns)
		vcpu->wait.max_ns = ns;
	pthread_mutex_unlock(&vcpu->lock);
}

/* ---- interrupts -------------------------------------------------------------------- */

void vcpu_interrupt(struct xensim_domain *domain)
{
	uint32_t i;

	for (i = 0; i < domain->vcpu_count; i++) {
		struct xensim_vcpu *vcpu = &domain->vcpus[i];

		pthread_mutex_lock(&vcpu->lock);
		vcpu->interrupts++;
		pthread_cond_broadcast(&vcpu->wake);
		pthread_mutex_unlock(&vcpu->lock);
	}
}

int xensim_halt(struct xensim_vcpu *vcpu, uint64_t *seen)
{
	int ret = vcpu_enter(vcpu);

	if (ret)
		return ret;
	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->interrupts == *seen && !domain_stopping(vcpu->domain))
		pthread_cond_wait(&vcpu->wake, &vcpu->lock);
	*seen = vcpu->interrupts;
	pthread_mutex_unlock(&vcpu->lock);
	return vcpu_enter(vcpu);
}
