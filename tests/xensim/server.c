/* SPDX-License-Identifier: MIT */
/* ioreq servers of a domain: their life, their pages, their ports. */
#include <stdlib.h>
#include <string.h>

#include "handles.h"
#include "private.h"

static int open_channels(struct ioreq_server *server)
{
	struct xensim_domain *domain = server->domain;
	uint32_t i;

	for (i = 0; i < domain->vcpu_count; i++) {
		server->channel[i] = channel_open(domain, &domain->vcpus[i]);
		if (!server->channel[i])
			return -ENOMEM;
	}
	if (server->buffered) {
		server->buffered_channel = channel_open(domain, NULL);
		if (!server->buffered_channel)
			return -ENOMEM;
	}
	return 0;
}

static void close_channels(struct ioreq_server *server)
{
	uint32_t i;

	for (i = 0; i < server->domain->vcpu_count; i++)
		if (server->channel[i])
			channel_close(server->channel[i]);
	if (server->buffered_channel)
		channel_close(server->buffered_channel);
}

/* A page of Xen's own has Xen's reference; one of the guest's p2m (gfn) a plain one. */
static void release_page(uint64_t mfn, bool in_guest)
{
	if (mfn == XENSIM_INVALID_MFN)
		return;
	if (in_guest)
		page_put(mfn);
	else
		page_release(mfn);
}

static void server_release(struct ioreq_server *server)
{
	bool in_guest = server->ioreq_gfn != XENSIM_INVALID_MFN;
	uint32_t i;

	release_page(server->ioreq_mfn, in_guest);
	release_page(server->bufioreq_mfn, in_guest);
	for (i = 0; i < server->domain->vcpu_count; i++)
		channel_free(server->channel[i]);
	channel_free(server->buffered_channel);
	free(server);
}

void server_put(struct ioreq_server *server)
{
	if (!__atomic_sub_fetch(&server->users, 1, __ATOMIC_ACQ_REL))
		server_release(server);
}

static struct ioreq_server *get_locked(struct xensim_domain *domain, uint16_t id)
{
	return id < MAX_SERVERS ? domain->servers[id] : NULL;
}

struct ioreq_server *server_get(struct xensim_domain *domain, uint16_t id)
{
	struct ioreq_server *server;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (server)
		add_relaxed(&server->users, 1);
	pthread_mutex_unlock(&domain->ioreq_lock);
	return server;
}

bool server_any(struct xensim_domain *domain)
{
	bool any = false;
	unsigned int id;

	pthread_mutex_lock(&domain->ioreq_lock);
	for (id = 0; id < MAX_SERVERS; id++)
		any |= domain->servers[id] != NULL;
	pthread_mutex_unlock(&domain->ioreq_lock);
	return any;
}

unsigned int server_list_enabled(struct xensim_domain *domain, struct ioreq_server **list)
{
	unsigned int id, count = 0;

	pthread_mutex_lock(&domain->ioreq_lock);
	for (id = MAX_SERVERS; id--;) {
		struct ioreq_server *server = domain->servers[id];

		if (!server || !server->enabled)
			continue;
		add_relaxed(&server->users, 1);
		list[count++] = server;
	}
	pthread_mutex_unlock(&domain->ioreq_lock);
	return count;
}

struct ioreq_server *server_select(struct xensim_domain *domain, unsigned int type, uint64_t start,
				   uint64_t end)
{
	struct ioreq_server *found = NULL;
	unsigned int id;

	pthread_mutex_lock(&domain->ioreq_lock);
	for (id = MAX_SERVERS; !found && id--;) {
		struct ioreq_server *server = domain->servers[id];

		if (server && server->enabled &&
		    range_contains(&server->ranges[type], start, end)) {
			add_relaxed(&server->users, 1);
			found = server;
		}
	}
	pthread_mutex_unlock(&domain->ioreq_lock);
	return found;
}

int server_create(struct xensim_domain *domain, int buffered, const struct handle *owner,
		  uint16_t *id)
{
	struct ioreq_server *server = calloc(1, sizeof(*server));
	unsigned int slot = 0;
	int ret = -ENOMEM;

	if (!server)
		return ret;
	server->domain = domain;
	server->users = 1;
	server->buffered = buffered;
	server->owner = owner;
	server->ioreq_mfn = server->bufioreq_mfn = XENSIM_INVALID_MFN;
	server->ioreq_gfn = server->bufioreq_gfn = XENSIM_INVALID_MFN;
	if (open_channels(server))
		goto fail;
	pthread_mutex_lock(&domain->ioreq_lock);
	while (slot < MAX_SERVERS && domain->servers[slot])
		slot++;
	ret = slot < MAX_SERVERS ? 0 : -ENOSPC;
	if (!ret) {
		server->id = *id = (uint16_t)slot;
		domain->servers[slot] = server;
	}
	pthread_mutex_unlock(&domain->ioreq_lock);
	if (!ret)
		return 0;
fail:
	close_channels(server);
	server_release(server);
	return ret;
}

static void bury(struct ioreq_server *server)
{
	/* Release: pairs with the acquire in the wait for an answer. */
	store_release(&server->dead, true);
	close_channels(server);
	vcpu_kick_all(server->domain);
	server_put(server);
}

int server_destroy(struct xensim_domain *domain, uint16_t id)
{
	struct ioreq_server *server;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (server) {
		server->enabled = false;
		domain->servers[id] = NULL;
	}
	pthread_mutex_unlock(&domain->ioreq_lock);
	if (!server)
		return -ENOENT;
	bury(server);
	return 0;
}

void server_destroy_all(struct xensim_domain *domain)
{
	uint16_t id;

	for (id = 0; id < MAX_SERVERS; id++)
		server_destroy(domain, id);
}

/* ---- pages ------------------------------------------------------------------------- */

static int own_page_locked(struct ioreq_server *server, uint64_t *mfn)
{
	if (*mfn == XENSIM_INVALID_MFN)
		*mfn = page_alloc(server->domain, 0, XENSIM_INVALID_MFN, PAGE_XEN);
	return *mfn == XENSIM_INVALID_MFN ? -ENOMEM : 0;
}

/* All that there are, whichever is asked for: Xen uses a ring that nobody looks at. */
static int own_pages_locked(struct ioreq_server *server)
{
	int ret;

	if (server->ioreq_gfn != XENSIM_INVALID_MFN)
		return -EPERM;
	ret = own_page_locked(server, &server->ioreq_mfn);
	if (!ret && server->buffered)
		ret = own_page_locked(server, &server->bufioreq_mfn);
	return ret;
}

int server_frame(struct ioreq_server *server, unsigned long frame, uint64_t *mfn)
{
	uint64_t *page = frame ? &server->ioreq_mfn : &server->bufioreq_mfn;
	int ret;

	pthread_mutex_lock(&server->domain->ioreq_lock);
	ret = own_pages_locked(server);
	if (!ret && frame == 0 && !server->buffered)
		ret = -ENOENT;
	/* Xen's reference keeps it while the caller's server_get() does. */
	if (!ret && !page_try_get(*page))
		ret = -EINVAL;
	if (!ret)
		*mfn = *page;
	pthread_mutex_unlock(&server->domain->ioreq_lock);
	return ret;
}

/* A frame that the toolstack has set aside, in the p2m until the server is enabled. */
static int guest_page_locked(struct ioreq_server *server, uint64_t *gfn, uint64_t *mfn)
{
	struct xensim_domain *domain = server->domain;
	uint64_t frame = UINT64_C(0xfeff0) + 2u * server->id + (gfn == &server->bufioreq_gfn);
	uint64_t page;
	int level, ret = -ENOMEM;
	bool freed;

	if (*gfn != XENSIM_INVALID_MFN)
		return 0;
	if (*mfn != XENSIM_INVALID_MFN)
		return -EPERM;
	pthread_mutex_lock(&domain->p2m_lock);
	while (p2m_lookup(domain, frame, &page, &level) != XENSIM_HOLE)
		frame += UINT64_C(1) << 24;
	page = page_alloc(domain, 0, XENSIM_INVALID_MFN, PAGE_GUEST);
	if (page == XENSIM_INVALID_MFN)
		goto out;
	ret = p2m_set(domain, frame, 0, page, XENSIM_RAM, &freed);
	if (ret) {
		page_release(page);
		goto out;
	}
	page_try_get(page);
	memset(memory_address(page), 0, XENSIM_PAGE);
	*gfn = frame;
	*mfn = page;
out:
	pthread_mutex_unlock(&domain->p2m_lock);
	return ret;
}

int server_gfns(struct xensim_domain *domain, uint16_t id, uint64_t *ioreq, uint64_t *bufioreq,
		uint32_t *port)
{
	struct ioreq_server *server;
	int ret = -ENOENT;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (!server)
		goto out;
	ret = 0;
	if (ioreq || bufioreq)
		ret = guest_page_locked(server, &server->ioreq_gfn, &server->ioreq_mfn);
	if (!ret && bufioreq && server->buffered)
		ret = guest_page_locked(server, &server->bufioreq_gfn, &server->bufioreq_mfn);
	if (ret)
		goto out;
	if (ioreq)
		*ioreq = server->ioreq_gfn;
	if (bufioreq && server->buffered)
		*bufioreq = server->bufioreq_gfn;
	if (port && server->buffered)
		*port = channel_port(server->buffered_channel);
out:
	pthread_mutex_unlock(&domain->ioreq_lock);
	return ret;
}

/* An enabled server's pages are out of the guest's reach. */
static void hide_page_locked(struct ioreq_server *server, uint64_t gfn, uint64_t mfn)
{
	struct xensim_domain *domain = server->domain;
	uint64_t there;
	bool freed;
	int level;

	pthread_mutex_lock(&domain->p2m_lock);
	if (p2m_has_page(p2m_lookup(domain, gfn, &there, &level)) && there == mfn)
		p2m_set(domain, gfn, 0, XENSIM_INVALID_MFN, XENSIM_HOLE, &freed);
	pthread_mutex_unlock(&domain->p2m_lock);
}

static int enable_locked(struct ioreq_server *server)
{
	int ret = 0;

	if (server->ioreq_gfn == XENSIM_INVALID_MFN)
		ret = own_pages_locked(server);
	if (ret)
		return ret;
	if (server->ioreq_gfn != XENSIM_INVALID_MFN)
		hide_page_locked(server, server->ioreq_gfn, server->ioreq_mfn);
	if (server->bufioreq_gfn != XENSIM_INVALID_MFN)
		hide_page_locked(server, server->bufioreq_gfn, server->bufioreq_mfn);
	ioreq_publish_ports(server);
	server->enabled = true;
	return 0;
}

int server_enable(struct xensim_domain *domain, uint16_t id, bool enable)
{
	struct ioreq_server *server;
	int ret = -ENOENT;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (server && enable && !server->enabled)
		ret = enable_locked(server);
	else if (server)
		ret = 0;
	if (server && !enable)
		server->enabled = false;
	pthread_mutex_unlock(&domain->ioreq_lock);
	return ret;
}

int server_add_range(struct xensim_domain *domain, uint16_t id, unsigned int type, uint64_t start,
		     uint64_t end)
{
	struct ioreq_server *server;
	int ret = -ENOENT;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (server)
		ret = range_add(&server->ranges[type], start, end);
	pthread_mutex_unlock(&domain->ioreq_lock);
	return ret;
}

int server_remove_range(struct xensim_domain *domain, uint16_t id, unsigned int type,
			uint64_t start, uint64_t end)
{
	struct ioreq_server *server;
	int ret = -ENOENT;

	pthread_mutex_lock(&domain->ioreq_lock);
	server = get_locked(domain, id);
	if (server)
		ret = range_remove(&server->ranges[type], start, end);
	pthread_mutex_unlock(&domain->ioreq_lock);
	return ret;
}

int xensim_emulator_death(struct xensim_domain *domain, uint16_t id)
{
	struct ioreq_server *server = server_get(domain, id);
	const struct handle *owner;
	uint16_t other;

	if (!server)
		return -ENOENT;
	owner = server->owner;
	server_put(server);
	handle_kill(owner);
	for (other = 0; other < MAX_SERVERS; other++) {
		server = server_get(domain, other);
		if (server && server->owner == owner)
			server_destroy(domain, other);
		if (server)
			server_put(server);
	}
	return 0;
}
