/* SPDX-License-Identifier: MIT */
/* What a server has done: each vCPU has counters of its own, which are summed when asked for. */
#include <errno.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/ioreq/ioreq.h"

uint64_t ioreq_count_time(uint64_t since, mapcache_atomic_u64 *count, mapcache_atomic_u64 *all,
			  mapcache_atomic_u64 *longest)
{
	uint64_t ns = clock_ns() - since;

	ioreq_count(count, 1);
	ioreq_count(all, ns);
	if (mapcache_load_relaxed(longest) < ns)
		mapcache_store_relaxed(longest, ns);
	return ns;
}

void ioreq_count_answer(struct mapcache_ioreq *server, uint32_t vcpu)
{
	struct ioreq_vcpu *mine = &server->vcpu[vcpu];
	uint64_t ns;

	if (mine->request.type == IOREQ_TYPE_INVALIDATE)
		ns = ioreq_count_time(mine->since, &mine->count.invalidates,
				      &mine->count.invalidate_ns, &mine->count.invalidate_ns_max);
	else
		ns = ioreq_count_time(mine->since, &mine->count.requests, &mine->count.request_ns,
				      &mine->count.request_ns_max);
	PROBE4(answer, server->cache, vcpu, mine->request.type, ns);
}

static void add(struct mapcache_ioreq_stats *stats, const struct ioreq_vcpu *vcpu)
{
#define ADD(name, text)                                                                            \
	stats->name = publish_combine(#name, stats->name, mapcache_load_relaxed(&vcpu->count.name));
	MAPCACHE_IOREQ_STATISTICS(ADD)
#undef ADD
}

int mapcache_ioreq_stats(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats)
{
	struct mapcache_ioreq_stats given, known;
	int error;

	if (server == NULL || stats == NULL)
		return -EINVAL;
	error = options_copy(stats, &given, sizeof(given));
	if (error)
		return error;
	known = (struct mapcache_ioreq_stats){ .size = given.size };
	for (uint32_t i = 0; i <= server->slots; i++)
		add(&known, &server->vcpu[i]);
	memcpy(stats, &known, known.size < sizeof(known) ? known.size : sizeof(known));
	return 0;
}
