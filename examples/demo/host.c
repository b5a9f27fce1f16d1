/* SPDX-License-Identifier: MIT */
/* A device model as it would run on a real Xen, with two register regions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

/* The simulated Xen needs a kernel mapping for each run of machine pages, the real one only
 * one for each call: keep far below vm.max_map_count (65530) even if no two are neighbours. */
#define STALE_BYTES (64u << 20)

/* ---- regions ------------------------------------------------------------------------------ */

static int block_read(void *data, uint64_t offset, uint32_t size, uint64_t *value)
{
	return virtio_mmio_read(data, offset, size, value);
}

static int block_write(void *data, uint64_t offset, uint32_t size, uint64_t value)
{
	return virtio_mmio_write(data, offset, size, value);
}

static int scratch_read(void *data, uint64_t offset, uint32_t size, uint64_t *value)
{
	struct host *host = data;

	*value = 0;
	if (offset > DEMO_SCRATCH_BYTES - size)
		return -EINVAL;
	memcpy(value, host->scratch + offset, size);
	return 0;
}

static int scratch_write(void *data, uint64_t offset, uint32_t size, uint64_t value)
{
	struct host *host = data;

	if (offset > DEMO_SCRATCH_BYTES - size)
		return -EINVAL;
	memcpy(host->scratch + offset, &value, size);
	return 0;
}

static void set_regions(struct host *host)
{
	host->region[0] = (struct server_region){
		DEMO_BLOCK_BASE, VIRTIO_MMIO_SIZE, block_read, block_write, &host->blk.device,
	};
	host->region[1] = (struct server_region){
		DEMO_SCRATCH_BASE, DEMO_SCRATCH_BYTES, scratch_read, scratch_write, host,
	};
}

/* ---- hooks -------------------------------------------------------------------------------- */

static void notify(void *data, uint32_t queue)
{
	struct host *host = data;

	workers_notify(host->workers, queue);
}

static void interrupt(void *data, bool level)
{
	struct host *host = data;
	uint64_t one = 1;

	if (level && write(host->demo->interrupt, &one, sizeof(one)) < 0)
		demo_fail(host->demo, "interrupt: %s", strerror(errno));
}

static void answered(void *data, uint64_t nanoseconds)
{
	struct host *host = data;

	histogram_record(&host->answered, nanoseconds);
}

static void print_log(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	if (level <= MAPCACHE_LOG_WARNING)
		fprintf(stderr, "mapcache: %s\n", message);
}

/* ---- start and stop ----------------------------------------------------------------------- */

static void *serve(void *data)
{
	struct host *host = data;
	int error = server_run(host->server);

	if (error)
		demo_fail(host->demo, "the ioreq server: %s", strerror(-error));
	return NULL;
}

static int open_cache(struct host *host)
{
	uint64_t least = UINT64_C(4) << host->demo->options.bucket_shift;
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = xensim_domid(host->demo->domain),
		.bucket_shift = host->demo->options.bucket_shift,
		.max_stale_bytes = least > STALE_BYTES ? least : STALE_BYTES,
		.log = print_log,
	};

	const char *path = host->demo->options.publish;
	int error = mapcache_open(&options, &host->cache);

	if (error || !path)
		return error;
	error = mapcache_publish(host->cache, path, 500);
	if (error) {
		mapcache_close(host->cache);
		host->cache = NULL;
	}
	return error;
}

static int open_device(struct host *host)
{
	struct virtio_blk_options options = {
		.queues = DEMO_QUEUES,
		.queue_size = DRIVER_QUEUE_SIZE,
		.serial = "mapcache-demo",
		.hooks = { notify, interrupt, host },
	};
	char path[64];
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", host->demo->work);
	error = blk_file_open(path, 0, &host->file);
	if (error)
		return error;
	error = virtio_blk_open(&options, &host->file, &host->blk);
	if (error)
		blk_file_close(&host->file);
	return error;
}

static int open_server(struct host *host)
{
	struct server_options options = {
		.cache = host->cache,
		.domid = xensim_domid(host->demo->domain),
		.vcpus = DEMO_VCPUS,
		.drain = host->demo->options.drained,
		.regions = host->region,
		.region_count = 2,
		.answered = answered,
		.data = host,
	};
	int error = server_open(&options, &host->server);

	if (error)
		return error;
	error = -pthread_create(&host->thread, NULL, serve, host);
	if (error)
		server_close(host->server);
	return error;
}

int host_start(struct host *host, struct demo *demo)
{
	const char *what = "the block device";
	int error;

	memset(host, 0, sizeof(*host));
	host->demo = demo;
	set_regions(host);
	error = open_device(host);
	if (error)
		goto failed;
	what = "the cache";
	error = open_cache(host);
	if (error)
		goto close_device;
	what = "the queues' threads";
	error = workers_start(&host->blk, host->cache, &host->workers);
	if (error)
		goto close_cache;
	what = "the ioreq server";
	error = open_server(host);
	if (!error)
		return 0;
	workers_stop(host->workers);
close_cache:
	mapcache_close(host->cache);
close_device:
	virtio_blk_close(&host->blk);
	blk_file_close(&host->file);
failed:
	demo_fail(demo, "cannot open %s: %s", what, strerror(-error));
	return error;
}

void host_stop(struct host *host, struct mapcache_stats *stats)
{
	int error;

	server_stop(host->server);
	pthread_join(host->thread, NULL);
	server_close(host->server);
	workers_stop(host->workers);
	stats->size = sizeof(*stats);
	error = mapcache_stats(host->cache, stats);
	if (error)
		demo_fail(host->demo, "statistics: %s", strerror(-error));
	/* -EBUSY here means that a pin was left. */
	error = mapcache_close(host->cache);
	if (error)
		demo_fail(host->demo, "closing the cache: %s", strerror(-error));
	virtio_blk_close(&host->blk);
	blk_file_close(&host->file);
}
