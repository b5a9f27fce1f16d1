/* SPDX-License-Identifier: MIT */
/* Threads' clients and their rings of pins. */
#include "transient.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct transient {
	struct {
		struct mapcache *cache;
		struct mapcache_client *client;
	} of[TRANSIENT_CACHES];
	struct mapcache *cache; /* of the pins */
	void *pin[TRANSIENT_POINTERS];
	unsigned int next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;
/* The key is for its destructor; this is for speed. */
static __thread struct transient *mine;

static void release(struct transient *transient)
{
	for (unsigned int i = 0; i < TRANSIENT_POINTERS; i++) {
		if (transient->pin[i])
			mapcache_unpin(transient->cache, transient->pin[i], 0);
		transient->pin[i] = NULL;
	}
}

static void close_clients(struct transient *transient)
{
	for (unsigned int i = 0; i < TRANSIENT_CACHES; i++) {
		if (transient->of[i].client)
			mapcache_client_close(transient->of[i].client);
	}
}

static void destroy(void *data)
{
	struct transient *transient = data;

	release(transient);
	close_clients(transient);
	free(transient);
	mine = NULL;
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, destroy);
}

static struct transient *get(void)
{
	struct transient *transient = mine;
	int error;

	if (transient)
		return transient;
	pthread_once(&once, make_key);
	transient = calloc(1, sizeof(*transient));
	if (!transient || key_error) {
		error = transient ? key_error : ENOMEM;
		goto free;
	}
	error = pthread_setspecific(key, transient);
	if (error)
		goto free;
	mine = transient;
	return transient;
free:
	free(transient);
	errno = error;
	return NULL;
}

struct mapcache_client *transient_client(struct mapcache *cache)
{
	struct transient *transient = get();
	unsigned int i = 0;
	int error;

	if (!transient)
		return NULL;
	while (i < TRANSIENT_CACHES && transient->of[i].client && transient->of[i].cache != cache)
		i++;
	if (i == TRANSIENT_CACHES) {
		errno = ENOMEM;
		return NULL;
	}
	if (transient->of[i].client)
		return transient->of[i].client;
	error = mapcache_client_open(cache, &transient->of[i].client);
	if (error) {
		transient->of[i].client = NULL;
		errno = -error;
		return NULL;
	}
	transient->of[i].cache = cache;
	return transient->of[i].client;
}

void *transient_lookup(struct mapcache *cache, uint64_t gpa, size_t len, int prot)
{
	struct mapcache_client *client = transient_client(cache);
	struct transient *transient = mine;
	void *pointer;

	if (!client)
		return NULL;
	pointer = mapcache_pin(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS);
	if (!pointer)
		return NULL;
	transient->cache = cache;
	if (transient->pin[transient->next])
		mapcache_client_unpin(client, transient->pin[transient->next], 0);
	transient->pin[transient->next] = pointer;
	transient->next = (transient->next + 1) % TRANSIENT_POINTERS;
	return pointer;
}

void transient_done(void)
{
	if (mine)
		release(mine);
}

void transient_close(void)
{
	struct transient *transient = mine;

	if (!transient)
		return;
	pthread_setspecific(key, NULL);
	destroy(transient);
}
