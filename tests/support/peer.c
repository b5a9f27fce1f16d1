/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/peer.h>

static void *peer_main(void *data)
{
	struct peer *peer = data;

	if (mapcache_client_open(peer->cache, &peer->client))
		abort();
	pthread_mutex_lock(&peer->lock);
	while (!peer->stop) {
		if (!peer->busy) {
			pthread_cond_wait(&peer->changed, &peer->lock);
			continue;
		}
		pthread_mutex_unlock(&peer->lock);
		peer->result = peer->job(peer, peer->data);
		pthread_mutex_lock(&peer->lock);
		peer->busy = false;
		pthread_cond_broadcast(&peer->changed);
	}
	pthread_mutex_unlock(&peer->lock);
	if (mapcache_client_close(peer->client))
		abort();
	return NULL;
}

static int peer_nothing(struct peer *peer, void *data)
{
	(void)peer;
	(void)data;
	return 0;
}

void peer_open(struct peer *peer, struct mapcache *cache)
{
	*peer = (struct peer){ .cache = cache };
	assert_int_equal(pthread_mutex_init(&peer->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&peer->changed, NULL), 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer), 0);
	/* Until it has its client. */
	assert_int_equal(peer_run(peer, peer_nothing, NULL), 0);
}

void peer_close(struct peer *peer)
{
	(void)peer_wait(peer);
	pthread_mutex_lock(&peer->lock);
	peer->stop = true;
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
	pthread_cond_destroy(&peer->changed);
	pthread_mutex_destroy(&peer->lock);
}

void peer_start(struct peer *peer, peer_job job, void *data)
{
	pthread_mutex_lock(&peer->lock);
	peer->job = job;
	peer->data = data;
	peer->busy = true;
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

int peer_wait(struct peer *peer)
{
	int result;

	pthread_mutex_lock(&peer->lock);
	while (peer->busy)
		pthread_cond_wait(&peer->changed, &peer->lock);
	result = peer->result;
	pthread_mutex_unlock(&peer->lock);
	return result;
}

bool peer_busy(struct peer *peer)
{
	bool busy;

	pthread_mutex_lock(&peer->lock);
	busy = peer->busy;
	pthread_mutex_unlock(&peer->lock);
	return busy;
}

int peer_run(struct peer *peer, peer_job job, void *data)
{
	peer_start(peer, job, data);
	return peer_wait(peer);
}

int peer_begin(struct peer *peer, void *data)
{
	(void)data;
	mapcache_begin(peer->client);
	return 0;
}

int peer_end(struct peer *peer, void *data)
{
	(void)data;
	return mapcache_end(peer->client);
}

int peer_ptr(struct peer *peer, void *data)
{
	struct peer_look *look = data;

	look->pointer = mapcache_ptr(peer->client, look->gpa, sizeof(look->value),
				     look->prot ? look->prot : PROT_READ);
	if (look->pointer == NULL)
		return -errno;
	look->value = *look->pointer;
	return 0;
}

int peer_read(struct peer *peer, void *data)
{
	int error;

	mapcache_begin(peer->client);
	error = peer_ptr(peer, data);
	if (mapcache_end(peer->client))
		abort();
	return error;
}

int peer_pin(struct peer *peer, void *data)
{
	struct peer_look *look = data;
	size_t len = sizeof(look->value);

	look->pointer =
		mapcache_pin(peer->client, look->gpa, &len, look->prot ? look->prot : PROT_READ, 0);
	if (look->pointer == NULL)
		return -errno;
	look->value = *look->pointer;
	return 0;
}

int peer_unpin(struct peer *peer, void *data)
{
	struct peer_look *look = data;

	return mapcache_client_unpin(peer->client, (void *)look->pointer, 0);
}

bool eventually(bool (*holds)(void *data), void *data)
{
	for (int i = 0; i < 30000; i++) {
		if (holds(data))
			return true;
		usleep(1000);
	}
	return false;
}
