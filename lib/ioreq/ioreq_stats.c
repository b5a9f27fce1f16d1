/* SPDX-License-Identifier: MIT */
/* What a server has done: each vCPU has counters of its own, which are summed when asked for. */
#include <errno.h>
#include <string.h>

#include "lib/api/options.h"
#include "lib/ioreq/ioreq.h"

/* The names of those of which the highest counts end in it. */
static uint64_t sum(const char *name, uint64_t total, uint64_t one)
{
	size_t len = strlen(name);

	if (len > 4 && strcmp(name + len - 4, "_max") == 0)
		return one > total ? one : total;
	return total + one;
}

static void add(struct mapcache_ioreq_stats *stats, const struct ioreq_vcpu *vcpu)
{
#define ADD(name, text)                                                                            \
	stats->name = sum(#name, stats->name, mapcache_load_relaxed(&vcpu->count.name));
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
