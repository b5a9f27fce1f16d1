/* SPDX-License-Identifier: MIT */
/*
 * The vCPU that uses the disk: reads all of it in order, rewrites it piece by piece with
 * many requests in flight, and compares every byte with what it must be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/random.h"
#include "demo.h"

#define SECTOR 512u
#define JOBS (DRIVER_QUEUES_MAX * DRIVER_SLOTS)
/* The rings move to other pages after so many pieces. */
#define PIECES_PER_START 128u

struct job {
	struct driver_request request;
	uint64_t piece; /* of DRIVER_BYTES */
	uint32_t step;
	uint32_t generation; /* makes patterns differ */
	bool active;
};

struct disk {
	struct demo *demo;
	struct driver driver;
	struct job job[JOBS];
	uint64_t pieces;
	uint32_t generation;
	uint8_t wanted[DRIVER_BYTES], found[DRIVER_BYTES];
};

/* What is done to one piece of the disk: in the end it is as it was. */
enum content { NOTHING, PATTERN, ZEROES, ORIGINAL };
struct step {
	uint32_t type;
	enum content content; /* written, or expected when it is read */
	bool new_pattern;
};

static const struct step steps[] = {
	{ VIRTIO_BLK_T_OUT, PATTERN, true },          { VIRTIO_BLK_T_IN, PATTERN, false },
	{ VIRTIO_BLK_T_OUT, PATTERN, true },          { VIRTIO_BLK_T_IN, PATTERN, false },
	{ VIRTIO_BLK_T_WRITE_ZEROES, ZEROES, false }, { VIRTIO_BLK_T_IN, ZEROES, false },
	{ VIRTIO_BLK_T_DISCARD, NOTHING, false },     { VIRTIO_BLK_T_OUT, ORIGINAL, false },
	{ VIRTIO_BLK_T_IN, ORIGINAL, false },         { VIRTIO_BLK_T_FLUSH, NOTHING, false },
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* ---- contents --------------------------------------------------------------------------- */

static uint32_t piece_bytes(const struct disk *disk, uint64_t piece)
{
	uint64_t left = disk->demo->image_bytes - piece * DRIVER_BYTES;

	return left < DRIVER_BYTES ? (uint32_t)left : DRIVER_BYTES;
}

static void fill_pattern(uint8_t *buffer, uint32_t bytes, uint64_t piece, uint32_t generation)
{
	uint64_t state = piece << 32 | generation, word;
	uint32_t i;

	for (i = 0; i < bytes; i += sizeof(word)) {
		word = random_next(&state);
		memcpy(buffer + i, &word, sizeof(word));
	}
}

static void fill_content(struct disk *disk, const struct job *job, enum content content)
{
	uint32_t bytes = piece_bytes(disk, job->piece);

	if (content == PATTERN)
		fill_pattern(disk->wanted, bytes, job->piece, job->generation);
	else if (content == ORIGINAL)
		memcpy(disk->wanted, disk->demo->image + job->piece * DRIVER_BYTES, bytes);
	else
		memset(disk->wanted, 0, bytes);
}

/* Compare what was read with disk->wanted; each sector that differs is one stale read. */
static int check_content(struct disk *disk, const struct job *job)
{
	uint32_t bytes = job->request.bytes, i;
	int error = driver_drain(&disk->driver, &job->request, disk->found);

	if (error || memcmp(disk->found, disk->wanted, bytes) == 0)
		return error;
	for (i = 0; i < bytes; i += SECTOR)
		if (memcmp(disk->found + i, disk->wanted + i, SECTOR))
			__atomic_fetch_add(&disk->demo->stale, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- requests --------------------------------------------------------------------------- */

static int submit_somewhere(struct disk *disk, struct job *job)
{
	uint32_t first = (uint32_t)job->piece + job->step, i;
	int error = -EBUSY;

	for (i = 0; i < disk->driver.queues && error == -EBUSY; i++) {
		job->request.queue = (first + i) % disk->driver.queues;
		error = driver_submit(&disk->driver, &job->request);
	}
	return error;
}

/* A read finds poison in its buffers, so that data that went elsewhere is missed. */
static int start_job(struct disk *disk, struct job *job, uint32_t type, enum content content)
{
	int error;

	job->request.type = type;
	job->request.bytes = type == VIRTIO_BLK_T_FLUSH ? 0 : piece_bytes(disk, job->piece);
	job->request.sector = type == VIRTIO_BLK_T_FLUSH ? 0 : job->piece * DRIVER_BYTES / SECTOR;
	error = driver_take_pages(&disk->driver, &job->request);
	if (!error && type == VIRTIO_BLK_T_OUT) {
		fill_content(disk, job, content);
		error = driver_fill(&disk->driver, &job->request, disk->wanted);
	} else if (!error && type == VIRTIO_BLK_T_IN) {
		memset(disk->wanted, 0xa5, job->request.bytes);
		error = driver_fill(&disk->driver, &job->request, disk->wanted);
	}
	if (!error)
		error = submit_somewhere(disk, job);
	job->active = !error;
	return error;
}

static void count(struct disk *disk, const struct job *job)
{
	struct demo_traffic *traffic = &disk->demo->traffic[demo_phase(disk->demo)];
	bool data = job->request.type == VIRTIO_BLK_T_IN || job->request.type == VIRTIO_BLK_T_OUT;

	__atomic_fetch_add(&traffic->requests, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&traffic->bytes, data ? job->request.bytes : 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&disk->demo->progress, 1, __ATOMIC_RELAXED);
}

/* A request is done: its status, its data, and its pages go back to the allocator. */
static int finish_job(struct disk *disk, struct job *job, enum content content)
{
	int error = 0;

	if (job->request.status != VIRTIO_BLK_S_OK) {
		demo_fail(disk->demo, "request type %u at sector %llu: status %u",
			  job->request.type, (unsigned long long)job->request.sector,
			  job->request.status);
		error = -EIO;
	} else if (job->request.type == VIRTIO_BLK_T_IN) {
		fill_content(disk, job, content);
		error = check_content(disk, job);
	}
	count(disk, job);
	driver_give_pages(&disk->driver, &job->request);
	job->active = false;
	return error;
}

/* ---- reading in order --------------------------------------------------------------------- */

static int read_pieces(struct disk *disk, uint64_t end, struct digest *digest)
{
	uint64_t submitted = 0, taken = 0;
	int error = 0;

	while (taken < end && !error) {
		struct job *job = &disk->job[taken % JOBS];

		if (submitted < end && submitted - taken < JOBS) {
			job = &disk->job[submitted % JOBS];
			job->piece = submitted++;
			job->step = 0;
			error = start_job(disk, job, VIRTIO_BLK_T_IN, ORIGINAL);
		} else if (job->request.done) {
			error = finish_job(disk, job, ORIGINAL);
			if (!error)
				error = digest_add(digest, disk->found, job->request.bytes);
			taken++;
		} else {
			error = driver_wait(&disk->driver);
		}
	}
	return error;
}

static int read_all(struct disk *disk, char text[DIGEST_TEXT])
{
	struct digest digest;
	int error = digest_begin(&digest), end_error;

	if (error)
		return error;
	error = read_pieces(disk, disk->pieces, &digest);
	end_error = digest_end(&digest, text);
	return error ? error : end_error;
}

/* ---- rewriting ---------------------------------------------------------------------------- */

static bool skipped(const struct disk *disk, const struct job *job)
{
	uint32_t type = steps[job->step].type;
	uint64_t features = disk->driver.features;

	if (type == VIRTIO_BLK_T_WRITE_ZEROES || steps[job->step].content == ZEROES)
		return !(features & (1u << VIRTIO_BLK_F_WRITE_ZEROES));
	if (type == VIRTIO_BLK_T_DISCARD)
		return !(features & (1u << VIRTIO_BLK_F_DISCARD));
	/* A flush waits for a real disk: now and then is enough. */
	return type == VIRTIO_BLK_T_FLUSH && job->piece % 64;
}

/* Start the next step of a piece. 0 when there is none left. */
static int next_step(struct disk *disk, struct job *job)
{
	int error;

	while (job->step < STEPS && skipped(disk, job))
		job->step++;
	if (job->step == STEPS)
		return 0;
	if (steps[job->step].new_pattern)
		job->generation = ++disk->generation;
	error = start_job(disk, job, steps[job->step].type, steps[job->step].content);
	return error ? error : 1;
}

static int finish_step(struct disk *disk, struct job *job)
{
	int error = finish_job(disk, job, steps[job->step].content);

	job->step++;
	if (error)
		return error;
	error = next_step(disk, job);
	return error < 0 ? error : 0;
}

/* Rewrite pieces [first, first + count), all of them at once as far as there are jobs. */
static int rewrite(struct disk *disk, uint64_t first, uint64_t count)
{
	uint64_t started = 0;
	uint32_t active = 1, i;
	int error = 0;

	while ((active || started < count) && !error) {
		active = 0;
		for (i = 0; i < JOBS && !error; i++) {
			struct job *job = &disk->job[i];

			if (job->active && job->request.done) {
				error = finish_step(disk, job);
			} else if (!job->active && started < count) {
				job->piece = first + started++;
				job->step = 0;
				error = next_step(disk, job);
				error = error < 0 ? error : 0;
			}
			active += job->active;
		}
		if (active && !error)
			error = driver_wait(&disk->driver);
	}
	return error;
}

/* ---- phases ------------------------------------------------------------------------------- */

static void enter_phase(struct disk *disk, enum demo_phase phase, uint64_t *since)
{
	struct demo *demo = disk->demo;
	uint64_t now = clock_now();

	__atomic_fetch_add(&demo->traffic[demo_phase(demo)].nanoseconds, now - *since,
			   __ATOMIC_RELAXED);
	__atomic_store_n(&demo->phase, phase, __ATOMIC_RELAXED);
	*since = now;
}

/* The device starts anew with its rings in other pages, which may have been ballooned. */
static int restart(struct disk *disk)
{
	int error = driver_stop(&disk->driver);

	return error ? error : driver_start(&disk->driver);
}

static int read_until(struct disk *disk, uint64_t when, char text[DIGEST_TEXT])
{
	int error = read_all(disk, text);

	while (!error && clock_now() < when)
		error = read_all(disk, text);
	return error;
}

static int write_until(struct disk *disk, uint64_t when)
{
	uint64_t piece = 0;
	int error = 0;

	do {
		uint64_t left = disk->pieces - piece;
		uint64_t count = left < PIECES_PER_START ? left : PIECES_PER_START;

		error = rewrite(disk, piece, count);
		if (!error)
			error = restart(disk);
		piece = count < left ? piece + count : 0;
	} while (!error && clock_now() < when);
	return error;
}

static int run_phases(struct disk *disk)
{
	struct demo *demo = disk->demo;
	uint64_t second = CLOCK_SECOND, begin = clock_now(), since = begin;
	uint64_t quiet = begin + demo->options.seconds * second / 4;
	uint64_t end = begin + demo->options.seconds * second;
	int error = driver_start(&disk->driver);

	if (!error && disk->driver.sectors != demo->image_bytes / SECTOR) {
		demo_fail(demo, "the disk has %llu sectors",
			  (unsigned long long)disk->driver.sectors);
		error = -EIO;
	}
	if (!error)
		error = read_until(disk, quiet, demo->read_digest[0]);
	enter_phase(disk, DEMO_READING, &since);
	if (!error)
		error = restart(disk);
	if (!error)
		error = read_all(disk, demo->read_digest[1]);
	enter_phase(disk, DEMO_WRITING, &since);
	if (!error)
		error = write_until(disk, end);
	enter_phase(disk, DEMO_CHECKING, &since);
	if (!error)
		error = read_all(disk, demo->read_digest[2]);
	enter_phase(disk, DEMO_CHECKING, &since);
	return error ? error : driver_stop(&disk->driver);
}

void disk_program(struct xensim_vcpu *vcpu, void *data)
{
	struct demo *demo = data;
	struct disk *disk = calloc(1, sizeof(*disk));
	int error = -ENOMEM;

	if (disk) {
		disk->demo = demo;
		disk->pieces = (demo->image_bytes + DRIVER_BYTES - 1) / DRIVER_BYTES;
		disk->driver.vcpu = vcpu;
		disk->driver.pool = &demo->pool;
		disk->driver.base = DEMO_BLOCK_BASE;
		disk->driver.interrupt = demo->interrupt;
		disk->driver.random = 1;
		error = run_phases(disk);
		demo->disk_interrupts = disk->driver.interrupts;
	}
	if (error)
		demo_fail(demo, "the guest's disk driver: %s", strerror(-error));
	free(disk);
	__atomic_store_n(&demo->done, true, __ATOMIC_RELEASE);
}
