/* SPDX-License-Identifier: MIT */
/*
 * A guest that does its worst, a device that obeys it, and a cache with little room; what its
 * options promise can be checked at any moment. For tests; everything here asserts with cmocka.
 */
#ifndef TESTS_UNIT_HOSTILE_SCENE_H
#define TESTS_UNIT_HOSTILE_SCENE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <tests/support/rig.h>

#define PAGE UINT64_C(4096)
#define RAM_PAGES UINT64_C(2048)
#define SHIFT 16u
#define BUCKET (UINT64_C(1) << SHIFT)
#define SLOTS UINT64_C(24)
#define STALE_BUCKETS UINT64_C(8)
#define SEED UINT64_C(20)

struct scene {
	struct rig rig;
	struct rig_device device;
	uint64_t log_lines; /* atomic */
	uint64_t served;    /* atomic: requests that came to the handler */
	uint64_t moved;     /* atomic: items */
	bool stop;          /* atomic */
};

/* A host, a guest, a cache; the test ends in any case. */
void scene_start(struct scene *scene, uint32_t vcpus);
/* A device of scene_obey(). */
void scene_serve(struct scene *scene, uint32_t threads);
void scene_stop(struct scene *scene);
/* Does what it is told to, in pieces, up to a bound of its own. */
int scene_obey(void *scene, struct mapcache_client *client, struct mapcache_request *request);
struct mapcache_stats scene_stats(struct scene *scene);
/* What the options promise. */
void scene_check_bounds(struct scene *scene, uint64_t since_ns);
uint64_t now_ns(clockid_t clock);

#endif
