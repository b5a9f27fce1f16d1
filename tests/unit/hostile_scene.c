/* SPDX-License-Identifier: MIT */
/* The hostile guest's surroundings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hostile_scene.h"

#define TEST_SECONDS 120

uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void count_line(void *data, enum mapcache_log_level level, const char *message)
{
	struct scene *scene = data;

	(void)level, (void)message;
	__atomic_fetch_add(&scene->log_lines, 1, __ATOMIC_RELAXED);
}

/* A device that does what it is told to, in pieces, up to a bound of its own. */
int scene_obey(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	struct scene *scene = data;
	uint8_t buffer[8 * 64];
	int64_t moved;

	__atomic_fetch_add(&scene->served, 1, __ATOMIC_RELAXED);
	if (!request->data_is_ptr)
		return mapcache_read(client, request->addr ^ RIG_MMIO, buffer, 8) == 8 ? 0 : -EIO;
	memset(buffer, 0, sizeof(buffer));
	for (uint32_t first = 0; first < request->count && first < 1024; first += 64) {
		uint32_t count = request->count - first < 64 ? request->count - first : 64;

		moved = mapcache_ioreq_copy(client, request, first, count, buffer);
		if (moved < 0)
			return (int)moved;
		__atomic_fetch_add(&scene->moved, (uint64_t)moved, __ATOMIC_RELAXED);
		if (moved < count)
			return -EFAULT;
	}
	return 0;
}

void scene_start(struct scene *scene, uint32_t vcpus)
{
	struct rig_options options = {
		.vcpus = vcpus,
		.ram_pages = RAM_PAGES,
		.cache = { .bucket_shift = SHIFT,
			   .max_bytes = SLOTS * BUCKET,
			   .max_stale_bytes = STALE_BUCKETS * BUCKET,
			   .reclaim_ms = 4,
			   .log = count_line,
			   .log_data = scene },
	};

	alarm(TEST_SECONDS);
	memset(scene, 0, sizeof(*scene));
	rig_start(&scene->rig, &options);
}

void scene_serve(struct scene *scene, uint32_t threads)
{
	struct rig_device_options options = { .handler = scene_obey,
					      .handler_data = scene,
					      .threads = threads };

	rig_device_open(&scene->device, &scene->rig, &options);
	rig_device_serve(&scene->device);
}

void scene_stop(struct scene *scene)
{
	rig_stop(&scene->rig);
	alarm(0);
}

struct mapcache_stats scene_stats(struct scene *scene)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };

	assert_int_equal(mapcache_stats(scene->rig.cache, &stats), 0);
	return stats;
}

/* What the options promise, at any moment. Clients' spare slots come on top. */
void scene_check_bounds(struct scene *scene, uint64_t since_ns)
{
	struct mapcache_stats stats = scene_stats(scene);
	uint64_t seconds = (now_ns(CLOCK_MONOTONIC) - since_ns) / 1000000000u + 1;

	assert_true(stats.slots_used <= SLOTS);
	assert_true(stats.mapped_bytes <= (SLOTS + stats.clients + 1) * BUCKET);
	assert_true(stats.memory_bytes < (1u << 20));
	assert_true(__atomic_load_n(&scene->log_lines, __ATOMIC_RELAXED) <= 20 * seconds);
}
