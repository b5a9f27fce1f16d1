/* SPDX-License-Identifier: MIT */
/*
 * libxenevtchn over eventfd, and Xen's end of the channels. As on Linux a port that has been
 * delivered is masked until xenevtchn_unmask(); what arrives meanwhile is remembered once.
 * Binding marks the new port pending, because events for an unbound channel were lost.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "handles.h"
#include "private.h"

#define PORTS_MAX 8192

struct channel {
	struct channel *next; /* in the list of all channels */
	struct xensim_domain *domain;
	struct xensim_vcpu *target;
	uint32_t port;
	uint32_t local; /* 0: nobody has bound it */
};

struct binding {
	struct xenevtchn_handle *handle; /* NULL: the local port is free */
	struct channel *channel;         /* NULL: the other end is closed or was never there */
	bool masked;                     /* delivered or queued, not yet unmasked */
	bool again;                      /* came while it was masked */
	uint32_t next;                   /* in the handle's queue; 0: last */
};

struct xenevtchn_handle {
	struct handle handle;
	int fd;
	uint32_t first, last; /* queue of local ports */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct binding bindings[PORTS_MAX]; /* by local port; 0 is never used */
static struct channel *channels;

static void raise_locked(uint32_t local)
{
	struct binding *binding = &bindings[local];
	struct xenevtchn_handle *xce = binding->handle;
	uint64_t one = 1;

	if (binding->masked) {
		binding->again = true;
		return;
	}
	binding->masked = true;
	binding->next = 0;
	if (xce->first)
		bindings[xce->last].next = local;
	else
		xce->first = local;
	xce->last = local;
	/* Cannot fail: the counter is read back whenever the queue empties. */
	if (write(xce->fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void drain_fd(struct xenevtchn_handle *xce)
{
	struct pollfd poll_fd = { .fd = xce->fd, .events = POLLIN };
	uint64_t value;

	/* The owner may have made it blocking or not. */
	if (poll(&poll_fd, 1, 0) == 1 && read(xce->fd, &value, sizeof(value)) < 0)
		abort();
}

static uint32_t pop_locked(struct xenevtchn_handle *xce)
{
	uint32_t local = xce->first;

	if (!local)
		return 0;
	xce->first = bindings[local].next;
	if (!xce->first)
		drain_fd(xce);
	return local;
}

static void unqueue_locked(struct xenevtchn_handle *xce, uint32_t local)
{
	uint32_t *link = &xce->first;
	uint32_t before = 0;

	while (*link && *link != local) {
		before = *link;
		link = &bindings[*link].next;
	}
	if (!*link)
		return;
	*link = bindings[local].next;
	if (xce->last == local)
		xce->last = before;
	if (!xce->first)
		drain_fd(xce);
}

static int local_port_locked(struct xenevtchn_handle *xce, struct channel *channel)
{
	uint32_t local;

	for (local = 1; local < PORTS_MAX; local++)
		if (!bindings[local].handle) {
			bindings[local] = (struct binding){ .handle = xce, .channel = channel };
			return (int)local;
		}
	return -ENOSPC;
}

static void unbind_locked(uint32_t local)
{
	struct binding *binding = &bindings[local];

	unqueue_locked(binding->handle, local);
	if (binding->channel)
		binding->channel->local = 0;
	*binding = (struct binding){ 0 };
}

/* ---- Xen's end --------------------------------------------------------------------- */

struct channel *channel_open(struct xensim_domain *domain, struct xensim_vcpu *target)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->domain = domain;
	channel->target = target;
	pthread_mutex_lock(&lock);
	channel->port = ++domain->last_port;
	channel->next = channels;
	channels = channel;
	pthread_mutex_unlock(&lock);
	return channel;
}

void channel_close(struct channel *channel)
{
	struct channel **link = &channels;

	pthread_mutex_lock(&lock);
	while (*link && *link != channel)
		link = &(*link)->next;
	if (*link)
		*link = channel->next;
	if (channel->local)
		bindings[channel->local].channel = NULL;
	channel->local = 0;
	pthread_mutex_unlock(&lock);
}

void channel_free(struct channel *channel)
{
	free(channel);
}

uint32_t channel_port(const struct channel *channel)
{
	return channel->port;
}

void channel_notify(struct channel *channel)
{
	pthread_mutex_lock(&lock);
	if (channel->local)
		raise_locked(channel->local);
	pthread_mutex_unlock(&lock);
}

static struct channel *channel_find_locked(struct xensim_domain *domain, uint32_t port)
{
	struct channel *channel = channels;

	while (channel && (channel->domain != domain || channel->port != port))
		channel = channel->next;
	return channel;
}

void evtchn_exit(void)
{
	uint32_t local;

	pthread_mutex_lock(&lock);
	for (local = 1; local < PORTS_MAX; local++)
		bindings[local] = (struct binding){ 0 };
	pthread_mutex_unlock(&lock);
}

/* ---- the library ------------------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce;
	int ret;

	(void)logger;
	if (flags & ~(unsigned int)XENEVTCHN_NO_CLOEXEC)
		return null_errno(EINVAL);
	xce = calloc(1, sizeof(*xce));
	if (!xce)
		return NULL;
	ret = handle_open(&xce->handle);
	if (ret)
		goto fail;
	xce->fd = eventfd(0, flags & XENEVTCHN_NO_CLOEXEC ? 0 : EFD_CLOEXEC);
	if (xce->fd >= 0)
		return xce;
	ret = -errno;
	handle_close(&xce->handle);
fail:
	free(xce);
	return null_errno(ret);
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned int flags)
{
	(void)logger;
	(void)fd;
	(void)flags;
	return null_errno(EOPNOTSUPP);
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	uint32_t local;

	if (!xce)
		return 0;
	pthread_mutex_lock(&lock);
	for (local = 1; local < PORTS_MAX; local++)
		if (bindings[local].handle == xce)
			unbind_locked(local);
	pthread_mutex_unlock(&lock);
	close(xce->fd);
	handle_close(&xce->handle);
	free(xce);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->fd;
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	return minus_errno(handle_restrict(&xce->handle, domid));
}

static struct binding *binding_locked(xenevtchn_handle *xce, evtchn_port_t port)
{
	return port && port < PORTS_MAX && bindings[port].handle == xce ? &bindings[port] : NULL;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct xensim_vcpu *target = NULL;
	struct binding *binding;
	int ret = fault_check(XENSIM_CALL_EVTCHN);

	if (ret)
		return minus_errno(ret);
	pthread_mutex_lock(&lock);
	binding = binding_locked(xce, port);
	if (!binding)
		ret = -ENOTCONN;
	else if (binding->channel)
		target = binding->channel->target;
	pthread_mutex_unlock(&lock);
	if (target)
		vcpu_event(target);
	return minus_errno(ret);
}

static xenevtchn_port_or_error_t bind(xenevtchn_handle *xce, struct xensim_domain *domain,
				      uint32_t remote)
{
	struct channel *channel = NULL;
	int ret = -EINVAL;

	pthread_mutex_lock(&lock);
	if (domain) {
		channel = channel_find_locked(domain, remote);
		if (!channel || channel->local)
			goto out;
	}
	ret = local_port_locked(xce, channel);
	if (ret > 0 && channel) {
		channel->local = (uint32_t)ret;
		raise_locked(channel->local);
	}
out:
	pthread_mutex_unlock(&lock);
	return ret < 0 ? minus_errno(ret) : ret;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						     evtchn_port_t remote_port)
{
	struct xensim_domain *domain;
	int ret = handle_check(&xce->handle, domid);

	if (!ret)
		ret = fault_check(XENSIM_CALL_EVTCHN);
	if (ret)
		return minus_errno(ret);
	domain = domain_get(domid);
	if (!domain)
		return minus_errno(ESRCH);
	ret = bind(xce, domain, remote_port);
	domain_put(domain);
	return ret;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	int ret = handle_check(&xce->handle, domid);

	if (!ret)
		ret = fault_check(XENSIM_CALL_EVTCHN);
	return ret ? minus_errno(ret) : bind(xce, NULL, 0);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	int ret = fault_check(XENSIM_CALL_EVTCHN);

	if (!ret && load_relaxed(&xce->handle.restricted) >= 0)
		ret = -EPERM;
	(void)virq;
	return ret ? minus_errno(ret) : bind(xce, NULL, 0);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	int ret = fault_check(XENSIM_CALL_EVTCHN);

	if (ret)
		return minus_errno(ret);
	pthread_mutex_lock(&lock);
	if (binding_locked(xce, port))
		unbind_locked(port);
	else
		ret = -ENOTCONN;
	pthread_mutex_unlock(&lock);
	return minus_errno(ret);
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	struct pollfd poll_fd = { .fd = xce->fd, .events = POLLIN };
	int ret = fault_check(XENSIM_CALL_EVTCHN);
	uint32_t local;

	if (ret)
		return minus_errno(ret);
	for (;;) {
		pthread_mutex_lock(&lock);
		local = pop_locked(xce);
		pthread_mutex_unlock(&lock);
		if (local)
			return (int)local;
		if (fcntl(xce->fd, F_GETFL) & O_NONBLOCK)
			return minus_errno(EAGAIN);
		if (poll(&poll_fd, 1, -1) < 0)
			return -1;
	}
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	int ret = fault_check(XENSIM_CALL_EVTCHN);
	struct binding *binding;

	if (ret)
		return minus_errno(ret);
	pthread_mutex_lock(&lock);
	binding = binding_locked(xce, port);
	/* The driver ignores ports that are not this handle's. */
	if (binding && binding->masked) {
		binding->masked = false;
		if (binding->again) {
			binding->again = false;
			raise_locked(port);
		}
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
