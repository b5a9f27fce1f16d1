/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: serve a disk image to one guest of a real Xen, as a virtio-mmio device.
 *
 * The guest must be told where the registers are and which interrupt is theirs (device tree
 * node "virtio,mmio", or virtio_mmio.device= on a Linux command line).
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xendevicemodel.h>
#include <xentoolcore.h>

#include "server.h"
#include "workers.h"

#define GRANTS_BYTES (UINT64_C(128) << 20) /* what a guest may have in flight */

struct settings {
	const char *image, *serial;
	uint64_t base, msi_address;
	uint32_t domid, vcpus, queues, irq, msi_data;
	enum { IRQ_NONE, IRQ_LINE, IRQ_ISA, IRQ_MSI } irq_kind;
	unsigned int file_flags;
	bool drain, no_restrict, grants;
};

struct program {
	struct settings settings;
	struct blk_file file;
	struct virtio_blk blk;
	struct mapcache *cache, *grants[2];
	struct workers *workers;
	struct server *server;
	xendevicemodel_handle *devicemodel;
};

/* What server_stop() is called for; there is one signal disposition in a process. */
static struct server *stopped_by_signal;

static void on_signal(int number)
{
	(void)number;
	server_stop(stopped_by_signal);
}

/* ---- hooks ------------------------------------------------------------------------------ */

static void notify(void *data, uint32_t queue)
{
	struct program *program = data;

	workers_notify(program->workers, queue);
}

static void interrupt(void *data, bool level)
{
	struct program *program = data;
	const struct settings *settings = &program->settings;
	domid_t domid = (domid_t)settings->domid;
	int error = 0;

	if (settings->irq_kind == IRQ_LINE)
		error = xendevicemodel_set_irq_level(program->devicemodel, domid, settings->irq,
						     level);
	else if (settings->irq_kind == IRQ_ISA)
		error = xendevicemodel_set_isa_irq_level(program->devicemodel, domid,
							 (uint8_t)settings->irq, level);
	else if (settings->irq_kind == IRQ_MSI && level)
		error = xendevicemodel_inject_msi(program->devicemodel, domid,
						  settings->msi_address, settings->msi_data);
	if (error)
		fprintf(stderr, "virtio-blk: interrupt: %s\n", strerror(errno));
}

static int read_register(void *data, uint64_t offset, uint32_t size, uint64_t *value)
{
	return virtio_mmio_read(data, offset, size, value);
}

static int write_register(void *data, uint64_t offset, uint32_t size, uint64_t value)
{
	return virtio_mmio_write(data, offset, size, value);
}

static void print_log(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	(void)level;
	fprintf(stderr, "virtio-blk: %s\n", message);
}

/* ---- settings --------------------------------------------------------------------------- */

static const char usage[] =
	"usage: virtio-blk --domid N --image FILE --base ADDRESS [options]\n"
	"  --vcpus N          vCPUs of the guest (1)\n"
	"  --queues N         queues of the device (1)\n"
	"  --irq N            interrupt line (Arm)\n"
	"  --isa-irq N        ISA interrupt line (x86)\n"
	"  --msi ADDRESS:DATA message signalled interrupt (x86)\n"
	"  --serial TEXT      serial number, up to 20 characters\n"
	"  --read-only        the guest cannot write\n"
	"  --grants           the driver names memory by grants (VIRTIO_F_ACCESS_PLATFORM); goes\n"
	"                     with --no-restrict only: Xen's libraries cannot restrict that handle\n"
	"  --direct           past the page cache, by way of a buffer\n"
	"  --drain            answer INVALIDATE after sections have been drained\n"
	"  --no-restrict      keep handles that can reach other domains\n";

static const struct option long_options[] = {
	{ "domid", required_argument, NULL, 'd' },
	{ "image", required_argument, NULL, 'f' },
	{ "base", required_argument, NULL, 'b' },
	{ "vcpus", required_argument, NULL, 'v' },
	{ "queues", required_argument, NULL, 'q' },
	{ "irq", required_argument, NULL, 'i' },
	{ "isa-irq", required_argument, NULL, 'I' },
	{ "msi", required_argument, NULL, 'm' },
	{ "serial", required_argument, NULL, 's' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "grants", no_argument, NULL, 'g' },
	{ "direct", no_argument, NULL, 'c' },
	{ "drain", no_argument, NULL, 'D' },
	{ "no-restrict", no_argument, NULL, 'R' },
	{ NULL, 0, NULL, 0 },
};

static uint64_t number(const char *text, uint64_t limit, char stop)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end != stop || *text == '-' || value > limit) {
		fprintf(stderr, "virtio-blk: not a number in range: %s\n%s", text, usage);
		exit(2);
	}
	return value;
}

static void parse_msi(struct settings *settings, const char *text)
{
	const char *colon = strchr(text, ':');

	settings->irq_kind = IRQ_MSI;
	settings->msi_address = number(text, UINT64_MAX, ':');
	settings->msi_data = (uint32_t)number(colon + 1, UINT32_MAX, '\0');
}

static void parse_irq(struct settings *settings, bool isa, const char *text)
{
	settings->irq_kind = isa ? IRQ_ISA : IRQ_LINE;
	settings->irq = (uint32_t)number(text, isa ? 15 : 1019, '\0');
}

static int parse_one(struct settings *settings, int option)
{
	switch (option) {
	case 'd':
		settings->domid = (uint32_t)number(optarg, 0x7fef, '\0');
		break;
	case 'f':
		settings->image = optarg;
		break;
	case 'b':
		settings->base = number(optarg, UINT64_MAX - VIRTIO_MMIO_SIZE, '\0');
		break;
	case 'v':
		settings->vcpus = (uint32_t)number(optarg, 128, '\0');
		break;
	case 'q':
		settings->queues = (uint32_t)number(optarg, VIRTIO_QUEUES_MAX, '\0');
		break;
	case 'i':
	case 'I':
		parse_irq(settings, option == 'I', optarg);
		break;
	case 'm':
		parse_msi(settings, optarg);
		break;
	case 's':
		settings->serial = optarg;
		break;
	case 'r':
		settings->file_flags |= BLK_FILE_READ_ONLY;
		break;
	case 'g':
		settings->grants = true;
		break;
	case 'c':
		settings->file_flags |= BLK_FILE_DIRECT;
		break;
	case 'D':
		settings->drain = true;
		break;
	case 'R':
		settings->no_restrict = true;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int parse(int argc, char **argv, struct settings *settings)
{
	int option, error = 0;

	*settings = (struct settings){ .domid = UINT32_MAX, .base = UINT64_MAX, .vcpus = 1 };
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1 && !error)
		error = parse_one(settings, option);
	if (error || optind != argc || !settings->image || settings->domid == UINT32_MAX ||
	    settings->base == UINT64_MAX || settings->vcpus == 0 ||
	    (settings->grants && !settings->no_restrict)) {
		fputs(usage, stderr);
		return -EINVAL;
	}
	return 0;
}

/* ---- the program ------------------------------------------------------------------------ */

static int fail(const char *what, int error)
{
	fprintf(stderr, "virtio-blk: %s: %s\n", what, strerror(-error));
	return error;
}

static int open_device(struct program *program)
{
	const struct settings *settings = &program->settings;
	struct virtio_blk_options options = {
		.queues = settings->queues,
		.serial = settings->serial,
		.grants = { program->grants[0], program->grants[1] },
		.hooks = { notify, interrupt, program },
	};
	int error = blk_file_open(settings->image, settings->file_flags, &program->file);

	if (error)
		return fail(settings->image, error);
	error = virtio_blk_open(&options, &program->file, &program->blk);
	if (error) {
		blk_file_close(&program->file);
		return fail("device", error);
	}
	return 0;
}

static int open_cache(struct program *program)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = program->settings.domid,
		.log = print_log,
	};
	int error = mapcache_open(&options, &program->cache);

	return error ? fail("cache", error) : 0;
}

static void close_caches(struct program *program)
{
	for (int i = 0; i < 2; i++) {
		if (program->grants[i])
			mapcache_close(program->grants[i]);
	}
	mapcache_close(program->cache);
}

/* A cache of guest memory, and where the driver uses grants one of each kind. */
static int open_caches(struct program *program)
{
	static const struct mapcache_backend *const backends[] = {
		&mapcache_backend_grants_read_only, &mapcache_backend_grants
	};
	struct mapcache_options options = { .size = sizeof(options),
					    .domid = program->settings.domid,
					    .max_bytes = GRANTS_BYTES,
					    .log = print_log };
	int error = open_cache(program);

	for (int i = 0; i < 2 && !error && program->settings.grants; i++) {
		options.backend = backends[i];
		error = mapcache_open(&options, &program->grants[i]);
		if (error) {
			program->grants[i] = NULL;
			close_caches(program);
			fail("grants", error);
		}
	}
	return error;
}

/* From here on the handles reach this domain only, whatever the guest makes of us. */
static int restrict_handles(struct program *program)
{
	if (program->settings.no_restrict)
		return 0;
	if (xentoolcore_restrict_all((domid_t)program->settings.domid))
		return fail("cannot restrict handles (--no-restrict goes on without)", -errno);
	return 0;
}

static int serve(struct program *program)
{
	const struct server_region region = {
		program->settings.base, VIRTIO_MMIO_SIZE,     read_register,
		write_register,         &program->blk.device,
	};
	const struct server_options options = {
		.cache = program->cache,
		.domid = program->settings.domid,
		.vcpus = program->settings.vcpus,
		.drain = program->settings.drain,
		.regions = &region,
		.region_count = 1,
	};
	struct sigaction action = { .sa_handler = on_signal };
	int error = server_open(&options, &program->server);

	if (error)
		return fail("ioreq server", error);
	error = restrict_handles(program);
	if (!error) {
		stopped_by_signal = program->server;
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		error = server_run(program->server);
		if (error)
			fail("serving", error);
	}
	/* A second signal ends the process at once. */
	action.sa_handler = SIG_DFL;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	server_close(program->server);
	return error;
}

static int run(struct program *program)
{
	int error = open_caches(program);

	if (error)
		return error;
	error = open_device(program);
	if (error)
		goto close_caches;
	error = -ENODEV;
	program->devicemodel = xendevicemodel_open(NULL, 0);
	if (!program->devicemodel) {
		fail("device model handle", -errno);
		goto close_device;
	}
	error = workers_start(&program->blk, program->cache, &program->workers);
	if (error) {
		fail("threads", error);
		goto close_handle;
	}
	error = serve(program);
	workers_stop(program->workers);
close_handle:
	xendevicemodel_close(program->devicemodel);
close_device:
	virtio_blk_close(&program->blk);
	blk_file_close(&program->file);
close_caches:
	close_caches(program);
	return error;
}

int main(int argc, char **argv)
{
	static struct program program;

	if (parse(argc, argv, &program.settings))
		return 2;
	return run(&program) ? 1 : 0;
}
