/* SPDX-License-Identifier: MIT */
/*
 * Any options and any arguments: what the headers allow is taken, what they do not is refused
 * with the error they name, and a cache that was opened works and closes.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <mapcache/ioreq.h>

#include "input.h"
#include <tests/xensim/xensim.h>

#define RAM_PAGES 64u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct xensim_domain *domain;

/* Zero, something small, near a power of two, or anything. */
static uint64_t take_number(struct input *input)
{
	uint8_t shape = (uint8_t)take(input, 1);

	switch (shape >> 6) {
	case 0:
		return 0;
	case 1:
		return shape & 0x3f;
	case 2:
		return (UINT64_C(1) << (shape & 0x3f)) + take(input, 1) - 2;
	default:
		return take(input, 8);
	}
}

static void count_line(void *data, enum mapcache_log_level level, const char *message)
{
	must(level <= MAPCACHE_LOG_INFO && message && strlen(message) > 0);
	++*(unsigned int *)data;
}

/* ---- mapcache_open: the header's rules, said again -------------------------------------------- */

static bool shifts_are_allowed(uint32_t bucket, uint32_t granule)
{
	if (bucket < 12 || bucket > 30)
		return false;
	return granule == 0 || (granule >= 12 && granule <= bucket && granule + 6 >= bucket);
}

static bool is_allowed(const struct mapcache_options *options)
{
	uint32_t shift = options->bucket_shift ? options->bucket_shift : 20;
	uint64_t bucket, most = options->max_bytes;

	if (options->flags & ~(MAPCACHE_NO_RECLAIM_THREAD | MAPCACHE_NO_MEMBARRIER |
			       MAPCACHE_DEBUG | MAPCACHE_NO_BATCHES))
		return false;
	if (!shifts_are_allowed(shift, options->granule_shift))
		return false;
	bucket = UINT64_C(1) << shift;
	if (options->stripes > 4096 || (options->stripes & (options->stripes - 1)))
		return false;
	if (most && (most < 4 * bucket || most >> shift > UINT64_C(1) << 26))
		return false;
	if (options->max_stale_bytes && options->max_stale_bytes < 4 * bucket)
		return false;
	if (options->max_vmas && options->max_vmas < 64)
		return false;
	if (options->guest_limit > UINT64_C(1) << 52 ||
	    (options->guest_limit + bucket - 1) >> shift > UINT64_C(1) << 32)
		return false;
	return options->reclaim_ms <= 3600000;
}

static struct mapcache_options take_options(struct input *input, unsigned int *lines)
{
	struct mapcache_options options = { .size = sizeof(options) };

	options.domid = xensim_domid(domain);
	options.flags = (uint32_t)take_number(input);
	options.bucket_shift = (uint32_t)take_number(input);
	options.granule_shift = (uint32_t)take_number(input);
	options.stripes = (uint32_t)take_number(input);
	options.reclaim_ms = (uint32_t)take_number(input);
	options.max_bytes = take_number(input);
	options.max_stale_bytes = take_number(input);
	options.max_vmas = take_number(input);
	options.guest_limit = take_number(input);
	options.log = count_line;
	options.log_data = lines;
	return options;
}

/* As a caller of an older or a newer header has it. */
static int open_sized(const struct mapcache_options *options, struct input *input,
		      struct mapcache **cache)
{
	uint8_t shape = (uint8_t)take(input, 1);
	struct {
		struct mapcache_options options;
		uint8_t tail[32];
	} newer = { .options = *options };

	if (!(shape & 0x80))
		return mapcache_open(options, cache);
	newer.options.size += shape & 0x1f;
	newer.tail[shape & 0x1f] = 1; /* just past its end: not looked at */
	if (shape & 0x40 && shape & 0x1f) {
		newer.tail[(shape & 0x1f) - 1] = 1;
		must(mapcache_open(&newer.options, cache) == -E2BIG);
		newer.tail[(shape & 0x1f) - 1] = 0;
	}
	return mapcache_open(&newer.options, cache);
}

/* ---- what is done with the cache -------------------------------------------------------------- */

static void use_stats(struct mapcache *cache, struct input *input)
{
	unsigned char memory[2 * sizeof(struct mapcache_stats)] = { 0 };
	struct mapcache_stats stats = { .size = take_number(input) % sizeof(memory) };
	int error;

	memcpy(memory, &stats.size, sizeof(stats.size));
	memory[sizeof(memory) - 1] = 0x5a;
	error = mapcache_stats(cache, (struct mapcache_stats *)(void *)memory);
	must(stats.size < sizeof(stats.size) ? error == -EINVAL : error == 0);
	must(memory[sizeof(memory) - 1] == 0x5a);
}

static void use_cache(struct mapcache *cache, struct mapcache_client *client, struct input *input)
{
	uint64_t gpa = take_number(input), len = take_number(input), number = take_number(input);
	int prot = (int)take(input, 1), error;
	char buffer[256];
	size_t wanted = len;
	void *pin;

	must(!mapcache_pin(client, gpa, &wanted, PROT_READ, 4 + (unsigned int)(number & 7)));
	must(!mapcache_pin(client, gpa, NULL, PROT_READ, 0) && errno == EINVAL);
	pin = mapcache_pin(client, gpa, &wanted, prot, 0);
	if (pin) {
		must(wanted >= 1 && wanted <= len);
		must(!mapcache_unpin(cache, (char *)pin + wanted - 1, len));
		must(mapcache_unpin(cache, pin, len) == -EINVAL);
	}
	(void)mapcache_read(client, gpa, buffer, len % sizeof(buffer));
	must(mapcache_read(client, gpa, NULL, 1) == -EINVAL);
	must(mapcache_write(client, gpa, buffer, SIZE_MAX) == -EINVAL);
	error = mapcache_invalidate_range(cache, gpa, len);
	must(error == (len == 0 ? -EINVAL : gpa + (len - 1) < gpa ? -ERANGE : 0));
	error = mapcache_drain(cache, number, 0, (unsigned int)prot);
	must(error == (number > 1 || prot > 1 ? -EINVAL : 0));
	(void)mapcache_reclaim(cache, number);
	must(mapcache_gpa(cache, (void *)(uintptr_t)number, &gpa) < 0 || number);
	must(mapcache_unpin(cache, (void *)(uintptr_t)number, len) == -EINVAL);
	must(mapcache_client_unpin(client, buffer, len) == -EINVAL);
}

static void use_ranges(struct mapcache_ioreq *server, struct input *input)
{
	for (unsigned int i = 0; i < 4; i++) {
		enum mapcache_ioreq_type type = (enum mapcache_ioreq_type)take(input, 1);
		uint64_t start = take_number(input), end = take_number(input);
		int error = mapcache_ioreq_add_range(server, type, start, end);

		if (type > MAPCACHE_IOREQ_PCI || start > end ||
		    (type == MAPCACHE_IOREQ_PORT && end > 0xffff))
			must(error == -EINVAL);
		if (!error)
			must(!mapcache_ioreq_remove_range(server, type, start, end));
	}
}

static int handle(void *data, struct mapcache_client *client, struct mapcache_request *request)
{
	(void)data, (void)client, (void)request;
	return 0;
}

static void use_server(struct mapcache *cache, struct mapcache_client *client, struct input *input)
{
	struct mapcache_ioreq_options options = { .size = sizeof(options),
						  .domid = xensim_domid(domain),
						  .vcpus = (uint32_t)take_number(input),
						  .flags = (uint32_t)take_number(input),
						  .drain_ms = (uint32_t)take_number(input),
						  .handler = handle };
	const uint32_t known =
		MAPCACHE_IOREQ_DRAIN | MAPCACHE_IOREQ_BUFFERED | MAPCACHE_IOREQ_ALL_TYPES;
	uint32_t vcpu = (uint32_t)take_number(input), vcpus;
	struct mapcache_ioreq *server;
	int error = mapcache_ioreq_open(cache, &options, &server);

	if (options.flags & ~known || options.drain_ms > INT_MAX) {
		must(error == -EINVAL);
		return;
	}
	/* More than one page of slots: today's Xen has no second one. */
	if (options.vcpus > 128) {
		must(error < 0);
		return;
	}
	must(error == 0);
	vcpus = (uint32_t)mapcache_ioreq_vcpus(server);
	must(vcpus == options.vcpus || (options.vcpus == 0 && vcpus > 0));
	use_ranges(server, input);
	/* One that was plugged in later has its slot in the page as well. */
	must(mapcache_ioreq_vcpu_port(server, vcpu) == (vcpu < 128 ? -EAGAIN : -EINVAL));
	must(mapcache_ioreq_handle(server, client, vcpu) == (vcpu < 128 ? 0 : -EINVAL));
	must(!mapcache_ioreq_close(server));
}

static void use(struct mapcache *cache, struct input *input)
{
	struct mapcache_client *client;
	int error = mapcache_client_open(cache, &client);

	if (error) {
		must(error == -ENOMEM);
		return;
	}
	use_stats(cache, input);
	use_cache(cache, client, input);
	use_server(cache, client, input);
	must(!mapcache_client_close(client));
}

/* ---- nothing at all ---------------------------------------------------------------------------- */

static void use_nothing(void)
{
	struct mapcache_options options = { .size = sizeof(options) };
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t gpa;
	char byte;

	must(mapcache_open(NULL, NULL) == -EINVAL && mapcache_open(&options, NULL) == -EINVAL);
	must(mapcache_close(NULL) == -EINVAL && mapcache_client_close(NULL) == -EINVAL);
	must(mapcache_client_open(NULL, NULL) == -EINVAL);
	must(mapcache_read(NULL, 0, &byte, 1) == -EINVAL);
	must(mapcache_unpin(NULL, &byte, 0) == -EINVAL);
	must(mapcache_client_unpin(NULL, &byte, 0) == -EINVAL);
	must(mapcache_gpa(NULL, &byte, &gpa) == -EINVAL);
	must(mapcache_invalidate_range(NULL, 0, 1) == -EINVAL);
	must(mapcache_drain(NULL, 0, 0, 0) == -EINVAL);
	must(mapcache_reclaim(NULL, 0) == 0);
	must(mapcache_stats(NULL, &stats) == -EINVAL && mapcache_dump(NULL, stderr) == -EINVAL);
	must(mapcache_ioreq_open(NULL, NULL, NULL) == -EINVAL);
	must(mapcache_ioreq_close(NULL) == -EINVAL && mapcache_ioreq_enable(NULL, 1) == -EINVAL);
	must(mapcache_ioreq_handle(NULL, NULL, 0) == -EINVAL);
}

static void stop(void)
{
	must(!xensim_domain_destroy(domain));
	must(!xensim_stop(stderr));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = { .bytes = bytes, .len = len };
	struct mapcache_options options;
	struct mapcache *cache;
	unsigned int lines = 0;
	int error;

	if (!domain) {
		must(!xensim_start(NULL));
		must(!xensim_domain_create(1, 0, RAM_PAGES, &domain));
		must(!atexit(stop));
		use_nothing();
	}
	options = take_options(&input, &lines);
	error = open_sized(&options, &input, &cache);
	if (!is_allowed(&options)) {
		must(error == -EINVAL && lines > 0);
		return 0;
	}
	/* There may be too little address space for what is asked for. */
	if (error) {
		must(error == -ENOMEM);
		return 0;
	}
	use(cache, &input);
	must(!mapcache_close(cache));
	return 0;
}
