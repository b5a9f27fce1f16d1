/* SPDX-License-Identifier: MIT */
/* One round: a host, its guests, their device models, all threads, and the books at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

static void domain_open(struct domain *domain, struct round *round, unsigned int number,
			uint64_t *random)
{
	memset(domain, 0, sizeof(*domain));
	domain->round = round;
	domain->number = number;
	domain->drain = one_in(random, 2);
	domain->pace_us = one_in(random, 3) ? 0 : 1u << random_below(random, 12);
	must(!pthread_mutex_init(&domain->devices_lock, NULL));
	must(!xensim_domain_create(VCPUS, 0, RAM_PAGES, &domain->guest));
	domain->rig = (struct rig){ .domain = domain->guest,
				    .domid = xensim_domid(domain->guest),
				    .vcpus = VCPUS };
	for (uint64_t page = 0; page < RAM_PAGES; page++) {
		uint64_t stamp;

		domain->page[page].floor = 2;
		stamp = page_next_stamp(domain, page);
		must(!xensim_guest_write(domain->guest, stamp_gpa(page), &stamp, sizeof(stamp)));
		page_settle(domain, page);
	}
}

static void worker_start(struct round *round, unsigned int domain, unsigned int number,
			 uint64_t *random)
{
	struct worker *worker = &round->worker[domain][number];

	memset(worker, 0, sizeof(*worker));
	worker->number = number;
	worker->least = round->accesses / (DOMAINS * CACHES * WORKERS) / 32 + 1;
	worker->witness.device = &round->device[domain][number / WORKERS];
	worker->witness.domain = &round->domain[domain];
	worker->witness.random = random_next(random);
	must(!pthread_create(&worker->thread, NULL, worker_run, worker));
}

static void round_start(struct round *round, uint64_t *random)
{
	for (unsigned int d = 0; d < DOMAINS; d++) {
		domain_open(&round->domain[d], round, d, random);
		for (unsigned int c = 0; c < CACHES; c++)
			device_open(&round->device[d][c], &round->domain[d], c, random);
	}
	for (unsigned int d = 0; d < DOMAINS; d++) {
		for (unsigned int v = 0; v < VCPUS; v++)
			must(!xensim_vcpu_start(round->domain[d].guest, v, guest_program,
						&round->domain[d]));
		for (unsigned int w = 0; w < CACHES * WORKERS; w++)
			worker_start(round, d, w, random);
		must(!pthread_create(&round->toolstack[d], NULL, toolstack_run, &round->domain[d]));
		must(!pthread_create(&round->visitor[d], NULL, visitor_run, &round->domain[d]));
	}
	must(!pthread_create(&round->janitor, NULL, janitor_run, round));
}

static void join(pthread_t thread)
{
	must(!pthread_join(thread, NULL));
}

/* Whoever is waited for by others goes last: guests wait for answers, the toolstack for guests. */
static void round_join(struct round *round)
{
	for (unsigned int d = 0; d < DOMAINS; d++)
		for (unsigned int w = 0; w < CACHES * WORKERS; w++)
			join(round->worker[d][w].thread);
	set(&round->stop_workers);
	join(round->janitor);
	for (unsigned int d = 0; d < DOMAINS; d++)
		join(round->visitor[d]);
	set(&round->stop_outside);
	for (unsigned int d = 0; d < DOMAINS; d++)
		join(round->toolstack[d]);
	set(&round->stop_guests);
	for (unsigned int d = 0; d < DOMAINS; d++)
		for (unsigned int v = 0; v < VCPUS; v++)
			must(!xensim_vcpu_join(round->domain[d].guest, v));
}

/* No page, mapping, domain or handle may be left; nothing may have been done that is illegal. */
static void round_stop(struct torture *torture, struct round *round)
{
	struct xensim_totals totals;

	xensim_fail(XENSIM_CALL_MAP, 0, 0);
	xensim_fail(XENSIM_CALL_UNMAP, 0, 0);
	xensim_fail_pages(0, 0, 0);
	for (unsigned int d = 0; d < DOMAINS; d++) {
		/* One guest dies before its device models have gone, one after. */
		if (d == 0)
			must(!xensim_domain_shutdown(round->domain[d].guest));
		for (unsigned int c = 0; c < CACHES; c++)
			device_close(&round->device[d][c]);
		must(!xensim_domain_destroy(round->domain[d].guest));
		pthread_mutex_destroy(&round->domain[d].devices_lock);
	}
	xensim_totals(&totals);
	if (totals.foreign_mappings || totals.foreign_pages) {
		fprintf(stderr, "FAILED: %llu foreign mappings are left, round %llu, seed %llu\n",
			(unsigned long long)totals.foreign_mappings,
			(unsigned long long)round->number, (unsigned long long)round->seed);
		(void)xensim_stop(stderr);
		abort();
	}
	must(totals.splits_refused == 0);
	must(xensim_protocol_errors() == 0);
	torture->invalidates += totals.invalidates_sent;
	torture->map_calls += totals.map_calls;
	must(xensim_stop(stderr) == 0);
}

static void round_features(struct torture *torture, const struct round *round)
{
	uint64_t *had = torture->features;

	had[FEATURE_FAULTS] += round->faults;
	had[FEATURE_ARM] += round->arch == XENSIM_ARM;
	for (unsigned int i = 0; i < DOMAINS * CACHES; i++) {
		const struct device *device = &round->device[i / CACHES][i % CACHES];
		struct mapcache_stats stats = { .size = sizeof(stats) };
		uint32_t shift = device->options.bucket_shift, flags = device->options.flags;

		had[FEATURE_SHIFT_12] += shift == 12;
		had[FEATURE_SHIFT_16] += shift == 16;
		had[FEATURE_SHIFT_20] += shift == 20;
		had[FEATURE_SHIFT_21] += shift == 21;
		had[FEATURE_TIGHT] += device->tight;
		had[FEATURE_DRAIN] += device->domain->drain;
		had[FEATURE_ANYWHERE] += device->anywhere;
		had[FEATURE_FENCES] += !!(flags & MAPCACHE_NO_MEMBARRIER);
		had[FEATURE_EMBEDDER] += !!(flags & MAPCACHE_NO_RECLAIM_THREAD);
		must(!mapcache_stats(device->cache, &stats));
		had[FEATURE_BATCHES] += stats.batches != 0;
		had[FEATURE_STORM] += device->domain->pace_us == 0;
	}
}

void round_run(struct torture *torture, uint64_t number, uint64_t accesses)
{
	static struct round round;
	struct xensim_options host = { .machine_pages = 0 };
	uint64_t random = torture->seed + number * UINT64_C(0x9e3779b9);

	memset(&round, 0, sizeof(round));
	round.number = number;
	round.seed = torture->seed;
	round.accesses = accesses;
	(void)random_next(&random);
	round.faults = one_in(&random, 3);
	round.jitter = one_in(&random, 2);
	round.arch = one_in(&random, 4) ? XENSIM_ARM : XENSIM_X86;
	must(!pthread_mutex_init(&round.faults_lock, NULL));
	host.arch = round.arch;
	host.jitter = round.jitter;
	host.seed = random_next(&random);
	must(!xensim_start(&host));
	round_start(&round, &random);
	round_join(&round);
	round_features(torture, &round);
	round_stop(torture, &round);
	torture->checked += round.checked;
	torture->refused += round.refused;
	histogram_merge(&torture->late, &round.late);
	torture->late_pins += round.late_pins;
}
