/* SPDX-License-Identifier: MIT */
/*
 * The demo: a simulated Xen with one guest, a device model that serves it a disk through
 * libmapcache, ballooning all the while. The last line is the verdict.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/clock.h"
#include "image.h"
#include "report.h"

#define STALLED (30 * CLOCK_SECOND)
#define TICK_US 100000

/* ---- the verdict -------------------------------------------------------------------------- */

void demo_fail(struct demo *demo, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&demo->lock);
	if (!demo->reason[0]) {
		va_start(arguments, format);
		vsnprintf(demo->reason, sizeof(demo->reason), format, arguments);
		va_end(arguments);
	}
	pthread_mutex_unlock(&demo->lock);
	__atomic_store_n(&demo->done, true, __ATOMIC_RELEASE);
}

bool demo_failed(struct demo *demo)
{
	bool failed;

	pthread_mutex_lock(&demo->lock);
	failed = demo->reason[0];
	pthread_mutex_unlock(&demo->lock);
	return failed;
}

/* What the guest saw and what the file holds, once everything has stopped. */
static void judge(struct demo *demo, const struct report *report, const char *copy_digest)
{
	int pass;

	if (report->pages_leaked)
		demo_fail(demo, "%llu pages leaked", (unsigned long long)report->pages_leaked);
	for (pass = 0; pass < 3; pass++)
		if (strcmp(demo->read_digest[pass], report->image_digest))
			demo_fail(demo, "pass %d over the disk: SHA-256 %s, the image has %s",
				  pass + 1, demo->read_digest[pass], report->image_digest);
	if (strcmp(copy_digest, report->image_digest))
		demo_fail(demo, "the image has SHA-256 %s after the run", copy_digest);
	if (demo->options.balloon_rate && !report->invalidates)
		demo_fail(demo, "there was no INVALIDATE");
	if (report->device.errors)
		demo_fail(demo, "%llu requests failed", (unsigned long long)report->device.errors);
}

/* ---- the run ------------------------------------------------------------------------------ */

/* Show progress until the guest has done its work; end a run that stands still. */
static void watch(struct demo *demo)
{
	uint64_t begin = clock_now(), moved = begin, before = 0;

	while (!demo_done(demo)) {
		uint64_t now = clock_now();
		uint64_t progress = __atomic_load_n(&demo->progress, __ATOMIC_RELAXED);

		if (progress != before)
			moved = now;
		before = progress;
		if (now - moved > STALLED)
			demo_fail(demo, "the guest made no progress for 30 s");
		report_progress(demo, now - begin);
		usleep(TICK_US);
	}
	report_progress_end();
}

static void run_guest(struct demo *demo)
{
	static const xensim_program programs[DEMO_VCPUS] = {
		disk_program,
		balloon_program,
		registers_program,
	};
	uint32_t vcpu, started;
	int error = 0;

	for (started = 0; started < DEMO_VCPUS; started++) {
		error = xensim_vcpu_start(demo->domain, started, programs[started], demo);
		if (error)
			break;
	}
	if (error)
		demo_fail(demo, "vCPU %u: %s", started, strerror(-error));
	watch(demo);
	/* A healthy guest ends by itself. One that failed may wait for an answer for ever. */
	if (demo_failed(demo))
		xensim_domain_shutdown(demo->domain);
	for (vcpu = 0; vcpu < started; vcpu++)
		xensim_vcpu_join(demo->domain, vcpu);
}

/* The simulated host, its guest, the device model, from beginning to end. */
static void run_on_host(struct demo *demo, struct host *host, struct report *report)
{
	struct xensim_totals totals;
	int error = xensim_domain_create(DEMO_VCPUS, 0, DEMO_RAM_PAGES, &demo->domain);

	if (error) {
		demo_fail(demo, "the guest cannot be created: %s", strerror(-error));
		return;
	}
	if (host_start(host, demo) == 0) {
		run_guest(demo);
		virtio_blk_count(&host->blk, &report->device);
		if (host->blk.device.error)
			printf("the device stopped: %s\n", strerror(-host->blk.device.error));
		host_stop(host, &report->stats);
	}
	if (xensim_domain_pages(demo->domain) != DEMO_RAM_PAGES)
		demo_fail(demo, "the guest has %llu of its %u pages",
			  (unsigned long long)xensim_domain_pages(demo->domain), DEMO_RAM_PAGES);
	xensim_domain_destroy(demo->domain);
	xensim_totals(&totals);
	report->invalidates = totals.invalidates_sent;
	report->pages_leaked = totals.pages_held + totals.pages_owned;
	if (totals.foreign_mappings)
		demo_fail(demo, "%llu foreign mappings are left",
			  (unsigned long long)totals.foreign_mappings);
}

static void run(struct demo *demo, struct host *host, struct report *report)
{
	char leaks[512] = "";
	FILE *file = fmemopen(leaks, sizeof(leaks), "w");
	int error = file ? xensim_start(NULL) : -errno;

	if (error) {
		demo_fail(demo, "the simulated Xen: %s", strerror(-error));
	} else {
		run_on_host(demo, host, report);
		if (xensim_protocol_errors())
			demo_fail(demo, "%llu errors in the request protocol",
				  (unsigned long long)xensim_protocol_errors());
		error = xensim_stop(file);
		fflush(file);
		if (error)
			demo_fail(demo, "leaked: %.*s", (int)strcspn(leaks, "\n"), leaks);
	}
	if (file)
		fclose(file);
}

static void run_with_image(struct demo *demo, struct report *report)
{
	static struct host host;
	char copy_digest[DIGEST_TEXT];

	report->host = &host;
	printf("serving a copy of %s, %.1f MiB, for %u s: %u queues, buckets of 2^%u bytes,\n"
	       "  ballooning at %u Hz, INVALIDATE answered %s\n",
	       demo->options.image, (double)demo->image_bytes / (1 << 20), demo->options.seconds,
	       DEMO_QUEUES, demo->options.bucket_shift, demo->options.balloon_rate,
	       demo->options.drained ? "once sections are drained" : "at once");
	fflush(stdout);
	run(demo, &host, report);
	if (image_digests(demo, report->image_digest, copy_digest))
		return;
	judge(demo, report, copy_digest);
	image_check(demo);
	report_table(report);
}

/* mke2fs and e2fsck live where only root looks for programs. */
static void extend_path(void)
{
	const char *path = getenv("PATH");
	char longer[4096];

	snprintf(longer, sizeof(longer), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
	setenv("PATH", longer, 1);
}

static int prepare(struct demo *demo)
{
	int error = pool_init(&demo->pool, DEMO_FIRST_GFN, DEMO_FREE_PAGES, 4);

	extend_path();
	demo->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!error && demo->interrupt < 0)
		error = -errno;
	if (error)
		demo_fail(demo, "preparing the guest: %s", strerror(-error));
	return error;
}

/* Stale reads first: they are what the demo is about, and other failures follow from them. */
static int print_verdict(struct demo *demo)
{
	if (demo->stale)
		printf("demo: FAILED %llu stale reads%s%s\n", (unsigned long long)demo->stale,
		       demo->reason[0] ? "; " : "", demo->reason);
	else if (demo_failed(demo))
		printf("demo: FAILED %s\n", demo->reason);
	else
		printf("demo: OK, every byte as it must be\n");
	return demo->stale || demo_failed(demo) ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct demo demo = { .lock = PTHREAD_MUTEX_INITIALIZER, .work = -1 };
	static struct report report = { .demo = &demo };
	const char *reason = NULL;
	int error;

	/* A sha256sum that dies is an error of digest_add(), not the end. */
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, argv, &demo.options, &reason)) {
		printf("demo: FAILED %s\n", reason);
		return 1;
	}
	if (demo.options.help) {
		options_print_help();
		return 0;
	}
	if (prepare(&demo) == 0 && image_open(&demo) == 0)
		run_with_image(&demo, &report);
	if (demo.options.json && report.host) {
		error = report_json(&report, demo.options.json,
				    demo.stale || demo_failed(&demo) ? "FAILED" : "OK");
		if (error)
			demo_fail(&demo, "%s: %s", demo.options.json, strerror(-error));
	}
	image_close(&demo);
	pool_destroy(&demo.pool);
	return print_verdict(&demo);
}
