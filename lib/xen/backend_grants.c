/* SPDX-License-Identifier: MIT */
/*
 * Granted pages by libxengnttab, in a library of its own: only who names these backends needs
 * libxengnttab.
 *
 * libxengnttab maps where it likes (its Linux part calls mmap(2) without an address), and a
 * mapping is undone by xengnttab_unmap() alone: memory mapped over it would leave the reference
 * in the driver's table, taken. So MAPCACHE_BACKEND_FIXED cannot be had.
 */
#include <errno.h>
#include <stdlib.h>

#include <xengnttab.h>
#include <xentoollog.h>

#include <mapcache/backend.h>

#define GRANTS_STACK 256 /* references kept on the stack */

struct backend_grants {
	xengnttab_handle *table;
	xentoollog_logger silence;
	uint32_t domid;
};

/*
 * The library has a line for stderr whenever a reference cannot be mapped, and references come
 * from the guest: what it has to say is in errno, too.
 */
static void grants_message(xentoollog_logger *logger, xentoollog_level level, int error,
			   const char *context, const char *format, va_list arguments)
{
	(void)logger, (void)level, (void)error, (void)context, (void)format, (void)arguments;
}

static int grants_open(void *data, uint32_t domid, void **state)
{
	struct backend_grants *grants = calloc(1, sizeof(*grants));
	int error;

	(void)data;
	if (!grants)
		return -ENOMEM;
	grants->domid = domid;
	grants->silence.vmessage = grants_message;
	errno = 0;
	grants->table = xengnttab_open(&grants->silence, 0);
	if (!grants->table) {
		error = errno ? -errno : -ENODEV;
		free(grants);
		return error;
	}
	*state = grants;
	return 0;
}

static void grants_close(void *state)
{
	struct backend_grants *grants = state;

	xengnttab_close(grants->table);
	free(grants);
}

/* A reference that was not granted, or not for this, is EINVAL there, EFAULT here. */
static void *grants_call(struct backend_grants *grants, uint32_t *references, uint64_t first,
			 size_t pages, int prot)
{
	void *mapped;

	for (size_t i = 0; i < pages; i++)
		references[i] = (uint32_t)(first + i);
	errno = 0;
	mapped = xengnttab_map_domain_grant_refs(grants->table, (uint32_t)pages, grants->domid,
						 references, prot);
	if (!mapped && (errno == EINVAL || errno == 0))
		errno = EFAULT;
	return mapped;
}

static void *grants_map(void *state, void *address, uint64_t reference, size_t pages, int prot,
			int *error)
{
	uint32_t stack[GRANTS_STACK], *references = stack;
	void *mapped;
	int saved;

	if (address || pages == 0 || pages > UINT32_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (reference > UINT32_MAX || pages - 1 > UINT32_MAX - reference) {
		errno = EFAULT;
		return NULL;
	}
	if (pages > GRANTS_STACK) {
		references = malloc(pages * sizeof(*references));
		if (!references) {
			errno = ENOMEM;
			return NULL;
		}
	}
	mapped = grants_call(state, references, reference, pages, prot);
	saved = errno;
	if (references != stack)
		free(references);
	/* All or nothing. */
	for (size_t i = 0; mapped && i < pages; i++)
		error[i] = 0;
	errno = saved;
	return mapped;
}

static int grants_unmap(void *state, void *address, size_t pages, int keep)
{
	struct backend_grants *grants = state;

	if (keep)
		return -EINVAL;
	errno = 0;
	if (xengnttab_unmap(grants->table, address, (uint32_t)pages))
		return errno ? -errno : -EIO;
	return 0;
}

const struct mapcache_backend mapcache_backend_grants = {
	.size = sizeof(struct mapcache_backend),
	.open = grants_open,
	.close = grants_close,
	.map = grants_map,
	.unmap = grants_unmap,
};

const struct mapcache_backend mapcache_backend_grants_read_only = {
	.size = sizeof(struct mapcache_backend),
	.flags = MAPCACHE_BACKEND_READ_ONLY,
	.open = grants_open,
	.close = grants_close,
	.map = grants_map,
	.unmap = grants_unmap,
};
