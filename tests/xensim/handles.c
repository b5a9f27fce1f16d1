/* SPDX-License-Identifier: MIT */
/* What the handles of the libraries have in common, and libxentoolcore, which knows them all. */
#include <stdlib.h>
#include <xentoolcore.h>

#include "handles.h"
#include "private.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, handle) handles = LIST_HEAD_INITIALIZER(handles);

void *null_errno(int error)
{
	errno = abs(error);
	return NULL;
}

int minus_errno(int error)
{
	if (!error)
		return 0;
	errno = abs(error);
	return -1;
}

int handle_open(struct handle *handle)
{
	int ret = host.running ? fault_check(XENSIM_CALL_OPEN) : -ENOENT;

	if (ret)
		return ret;
	handle->restricted = -1;
	handle->dead = false;
	/* The list is the parent's, and its handles that were closed here are still on it. */
	if (host.inherited)
		return 0;
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(&handles, handle, link);
	pthread_mutex_unlock(&lock);
	add_relaxed(&host.handles_open, 1);
	return 0;
}

void handle_close(struct handle *handle)
{
	if (host.inherited)
		return;
	pthread_mutex_lock(&lock);
	LIST_REMOVE(handle, link);
	pthread_mutex_unlock(&lock);
	sub_relaxed(&host.handles_open, 1);
}

int handle_check(const struct handle *handle, uint32_t domid)
{
	int32_t restricted = load_relaxed(&handle->restricted);

	if (load_relaxed(&handle->dead))
		return -EBADF;
	return restricted >= 0 && (uint32_t)restricted != domid ? -EPERM : 0;
}

int handle_restrict(struct handle *handle, uint32_t domid)
{
	int ret = handle_check(handle, domid);

	/* To another one: the kernel's word for it. */
	if (ret == -EPERM)
		ret = -EINVAL;
	if (!ret && handle->unrestricted)
		store_relaxed(&handle->dead, true);
	else if (!ret)
		store_relaxed(&handle->restricted, (int32_t)domid);
	return ret;
}

void handle_kill(const struct handle *dying)
{
	struct handle *handle;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(handle, &handles, link)
	if (handle == dying)
		store_relaxed(&handle->dead, true);
	pthread_mutex_unlock(&lock);
}

int xentoolcore_restrict_all(domid_t domid)
{
	struct handle *handle;
	int ret = 0;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(handle, &handles, link)
	if (!ret)
		ret = handle_restrict(handle, domid);
	pthread_mutex_unlock(&lock);
	return minus_errno(ret);
}
