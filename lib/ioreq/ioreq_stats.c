/* SPDX-License-Identifier: MIT */
/* What a server has done: each vCPU has counters of its own, which are summed when asked for. */
#include <errno.h>
#include <string.h>

#include "lib/api/options.h"
#include "lib/api/publish.h"
#include "lib/ioreq/ioreq.h"

static void add(struct mapcache_ioreq_stats *stats, const struct ioreq_vcpu *vcpu)
{
#define ADD(name, text)                                                                            \
	stats->name = publish_combine(#name, stats->name, mapcache_load_relaxed(&vcpu->count.name));
	MAPCACHE_IOREQ_STATISTICS(ADD)
#undef ADD
}

int mapcache_ioreq_stats(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats)
{
	struct mapcache_ioreq_stats known;
	size_t size;
	int error;

	if (server == NULL || stats == NULL)
		return -EINVAL;
	error = options_copy(stats, &known, sizeof(known));
	if (error)
		return error;
	size = stats->size;
	memset(&known, 0, sizeof(known));
	for (uint32_t i = 0; i <= server->slots; i++)
		add(&known, &server->vcpu[i]);
	known.size = size;
	memcpy(stats, &known, size < sizeof(known) ? size : sizeof(known));
	return 0;
}
