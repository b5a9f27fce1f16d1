/* SPDX-License-Identifier: MIT */
/*
 * The life of an ioreq server: open, enable, ranges, close.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/ioreq/ioreq.h"
#include "lib/base/cancel.h"
#include "lib/base/log.h"
#include "lib/api/options.h"

#define DRAIN_MS_DEFAULT 1000u

static int check_options(struct mapcache_ioreq_options *options)
{
	if (options->domid >= DOMID_FIRST_RESERVED || options->handler == NULL)
		return -EINVAL;
	if (options->vcpus == 0 || options->vcpus > IOREQ_VCPUS_MAX)
		return -EINVAL;
	if (options->flags & ~MAPCACHE_IOREQ_DRAIN)
		return -EINVAL;
	if (options->drain_ms > INT_MAX)
		return -EINVAL;
	if (options->drain_ms == 0)
		options->drain_ms = DRAIN_MS_DEFAULT;
	return 0;
}

int mapcache_ioreq_open(struct mapcache *cache, const struct mapcache_ioreq_options *options,
			struct mapcache_ioreq **server)
{
	struct mapcache_ioreq *opened;
	CANCEL_DEFERRED;
	int error;

	if (cache == NULL || options == NULL || server == NULL)
		return -EINVAL;
	opened = calloc(1, sizeof(*opened));
	if (opened == NULL)
		return -ENOMEM;
	opened->cache = cache;
	opened->pid = getpid();
	error = options_copy(options, &opened->options, sizeof(opened->options));
	if (!error)
		error = check_options(&opened->options);
	if (!error)
		error = ioreq_xen_open(&opened->xen, (domid_t)opened->options.domid);
	if (error) {
		free(opened);
		return error;
	}
	*server = opened;
	return 0;
}

int mapcache_ioreq_close(struct mapcache_ioreq *server)
{
	CANCEL_DEFERRED;
	int error;

	if (server == NULL)
		return -EINVAL;
	error = getpid() == server->pid ? ioreq_xen_close(&server->xen)
					: ioreq_xen_close_handles(&server->xen);
	/* Nothing to do about it, and usual for a guest that is gone: not the caller's error. */
	if (error)
		log_message(server->cache, MAPCACHE_LOG_INFO,
			    "ioreq: server %u was closed with error %d", server->xen.id, error);
	free(server);
	return 0;
}

/*
 * The order is enable, then invalidate. A frame removed after Xen has enabled the server is
 * told to it: Xen looks who is enabled after it has changed the p2m. So a removal that is not
 * told precedes the enable, and every mapping that still shows its page was begun before the
 * increment below (A). The other way round, a frame mapped and removed between the two would
 * stay in the cache unnoticed.
 */
int mapcache_ioreq_enable(struct mapcache_ioreq *server, bool enable)
{
	int error;

	if (server == NULL)
		return -EINVAL;
	error = ioreq_xen_set_state(&server->xen, enable);
	if (error || !enable)
		return error;
	mapcache_invalidate(server->cache);
	/* Release: pairs with the acquire in mapcache_ioreq_handle() and _vcpu_port(): the
	 * page is read as Xen left it when it enabled the server. */
	mapcache_store_release(&server->enabled_once, 1);
	return 0;
}

int mapcache_ioreq_vcpu_port(struct mapcache_ioreq *server, uint32_t vcpu)
{
	if (server == NULL || vcpu >= server->options.vcpus)
		return -EINVAL;
	if (!mapcache_load_acquire(&server->enabled_once))
		return -EAGAIN;
	return (int)server->xen.slots[vcpu].vp_eport;
}

static int change_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
			uint64_t start, uint64_t end, bool add)
{
	if (server == NULL || ioreq_check_range(type, start, end))
		return -EINVAL;
	return ioreq_xen_range(&server->xen, type, start, end, add);
}

int mapcache_ioreq_add_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
			     uint64_t start, uint64_t end)
{
	return change_range(server, type, start, end, true);
}

int mapcache_ioreq_remove_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
				uint64_t start, uint64_t end)
{
	return change_range(server, type, start, end, false);
}
