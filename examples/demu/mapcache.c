/* SPDX-License-Identifier: MIT */
/* The DEMU family's ways to guest memory, on libmapcache. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

/* Its macros have the names of the library's own functions. */
#define DEMU_MAPCACHE_NO_MACROS
#include "mapcache.h"

#define PAGE_BYTES UINT64_C(4096)
#define GRANTS_BYTES (UINT64_C(128) << 20) /* what a guest may have in flight */
#define GRANTS_UNMAP_MS 10

/* Pointers that nobody gives back: one thread's pins. */
struct ring {
	struct ring *next;
	void *pin[DEMU_MAPCACHE_POINTERS];
	unsigned int oldest;
};

static struct {
	struct mapcache *cache;
	struct mapcache *grants[2]; /* for reading, for writing; NULL: not here */
	pthread_mutex_t lock;       /* protects the list */
	struct ring *rings;
} demu = { .lock = PTHREAD_MUTEX_INITIALIZER };

extern volatile uint32_t mapcache_inval_cnt;
volatile uint32_t mapcache_inval_cnt;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

/* ---- pointers that nobody gives back ---------------------------------------------------- */

static void release(struct ring *ring)
{
	for (unsigned int i = 0; i < DEMU_MAPCACHE_POINTERS; i++) {
		if (ring->pin[i])
			mapcache_unpin(demu.cache, ring->pin[i], 0);
		ring->pin[i] = NULL;
	}
}

static void thread_ends(void *data)
{
	struct ring *ring = data, **link = &demu.rings;

	pthread_mutex_lock(&demu.lock);
	while (*link != ring)
		link = &(*link)->next;
	*link = ring->next;
	release(ring);
	pthread_mutex_unlock(&demu.lock);
	free(ring);
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, thread_ends);
}

static struct ring *my_ring(void)
{
	struct ring *ring;

	pthread_once(&once, make_key);
	ring = key_error ? NULL : pthread_getspecific(key);
	if (ring || key_error)
		return ring;
	ring = calloc(1, sizeof(*ring));
	if (!ring || pthread_setspecific(key, ring)) {
		free(ring);
		return NULL;
	}
	pthread_mutex_lock(&demu.lock);
	ring->next = demu.rings;
	demu.rings = ring;
	pthread_mutex_unlock(&demu.lock);
	return ring;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void open_grants(const struct mapcache_options *given)
{
#ifdef DEMU_MAPCACHE_GRANTS
	static const struct mapcache_backend *const backends[] = {
		&mapcache_backend_grants_read_only, &mapcache_backend_grants
	};
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = given->domid,
					    .max_bytes = GRANTS_BYTES,
					    .log = given->log,
					    .log_data = given->log_data };

	/* Without /dev/xen/gntdev there are no grants; the rest works. */
	for (int i = 0; i < 2; i++) {
		options.backend = backends[i];
		if (mapcache_open(&options, &demu.grants[i]))
			demu.grants[i] = NULL;
	}
#else
	(void)given;
#endif
}

int demu_mapcache_open_options(const struct mapcache_options *options)
{
	int error;

	if (demu.cache)
		return -EBUSY;
	error = mapcache_open(options, &demu.cache);
	if (error)
		demu.cache = NULL;
	else
		open_grants(options);
	return error;
}

int demu_mapcache_open(uint32_t domid)
{
	return demu_mapcache_open_options(&(struct mapcache_options){
		.size = sizeof(struct mapcache_options), .domid = domid });
}

int demu_mapcache_close(void)
{
	int error;

	if (!demu.cache)
		return 0;
	pthread_mutex_lock(&demu.lock);
	for (struct ring *ring = demu.rings; ring; ring = ring->next)
		release(ring);
	pthread_mutex_unlock(&demu.lock);
	for (int i = 0; i < 2; i++) {
		error = demu.grants[i] ? mapcache_close(demu.grants[i]) : 0;
		if (error)
			return error;
		demu.grants[i] = NULL;
	}
	error = mapcache_close(demu.cache);
	if (!error)
		demu.cache = NULL;
	return error;
}

/* ---- mapping -------------------------------------------------------------------------------- */

void *demu_mapcache_map(uint64_t addr, uint64_t size, int prot)
{
	struct mapcache_client *client;
	size_t len = (size_t)size;

	if (!demu.cache || !size || len != size) {
		errno = demu.cache ? EINVAL : ENODEV;
		return NULL;
	}
	client = mapcache_address_client(demu.cache, demu.grants, &addr, prot);
	return client ? mapcache_pin(client, addr, &len, prot, MAPCACHE_PIN_CONTIGUOUS) : NULL;
}

/* Nobody says whether it was written: for the log of modified pages, all of it was. */
int demu_mapcache_unmap(void *ptr, uint64_t size)
{
	int error = demu.cache ? mapcache_address_unpin(demu.cache, demu.grants, ptr, (size_t)size,
							(size_t)size, GRANTS_UNMAP_MS)
			       : -ENODEV;

	if (!error)
		return 0;
	errno = -error;
	return -1;
}

void *demu_mapcache_host(uint64_t addr, uint64_t size)
{
	struct ring *ring = my_ring();
	void *pointer, **oldest;

	/* What is granted goes back at once: it is not for pointers that nobody gives back. */
	if (!ring || (addr & MAPCACHE_ADDRESS_GRANT)) {
		errno = ring ? ERANGE : ENOMEM;
		return NULL;
	}
	pointer = demu_mapcache_map(addr, size, PROT_READ | PROT_WRITE);
	if (!pointer && errno == EACCES)
		pointer = demu_mapcache_map(addr, size, PROT_READ);
	if (!pointer)
		return NULL;
	oldest = &ring->pin[ring->oldest];
	if (*oldest)
		mapcache_client_unpin(mapcache_thread_client(demu.cache), *oldest, 0);
	*oldest = pointer;
	ring->oldest = (ring->oldest + 1) % DEMU_MAPCACHE_POINTERS;
	return pointer;
}

uint8_t *demu_mapcache_page(uint64_t addr)
{
	return demu_mapcache_host(addr, PAGE_BYTES - (addr & (PAGE_BYTES - 1)));
}

void demu_mapcache_invalidate(void)
{
	struct ring *ring;

	if (!demu.cache)
		return;
	/* A loop that serves requests is done with its pointers here. */
	ring = key_error ? NULL : my_ring();
	if (ring)
		release(ring);
	mapcache_invalidate(demu.cache);
}
