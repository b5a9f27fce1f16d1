/* SPDX-License-Identifier: MIT */
/*
 * fill FILE MIB: makes a disk on which every word tells where it belongs.
 *
 * disk DEVICE MIB CHUNK_KIB SECONDS MODE LABEL: reads it, or writes and reads it, again and again,
 * into fresh memory each time, and looks at every word. MODE: read, write (both O_DIRECT) or
 * buffered (through the page cache, which is dropped after every pass).
 */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pattern.h"

#define BLOCKS_PER_MIB (1048576u / BLOCK_BYTES)
#define REQUESTS_MAX 1000000u
#define WRONG_SHOWN 8

struct disk {
	const char *label;
	int file;
	bool write, buffered;
	uint64_t blocks, chunk; /* of the disk, of a request; in blocks */
	uint64_t wrong, errors, requests;
	double *took;
};

int command_fill(int argc, char **argv)
{
	uint64_t words[BLOCK_WORDS],
		blocks = argc == 3 ? strtoull(argv[2], NULL, 0) * BLOCKS_PER_MIB : 0;
	FILE *file = argc == 3 ? fopen(argv[1], "we") : NULL;
	bool good = file != NULL;

	for (uint64_t block = 0; good && block < blocks; block++) {
		pattern_fill(words, block);
		good = fwrite(words, sizeof(words), 1, file) == 1;
	}
	if (file && fclose(file))
		good = false;
	return !good;
}

static void check_block(struct disk *disk, const uint64_t *words, uint64_t block)
{
	unsigned int wrong = pattern_wrong(words, block), zeroes = 0;

	if (!wrong)
		return;
	for (uint64_t i = 0; i < BLOCK_WORDS; i++)
		zeroes += words[i] == 0;
	if (disk->wrong++ < WRONG_SHOWN)
		printf("WRONG %s block %llu: %u of %zu words, %u are zero\n", disk->label,
		       (unsigned long long)block, wrong, BLOCK_WORDS, zeroes);
}

/* One request, in memory that no request used before. */
static void request(struct disk *disk, uint64_t block)
{
	size_t bytes = disk->chunk * BLOCK_BYTES;
	off_t at = (off_t)(block * BLOCK_BYTES);
	uint64_t *words =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t done;
	double start;

	if (words == MAP_FAILED) {
		disk->errors++;
		return;
	}
	for (uint64_t i = 0; disk->write && i < disk->chunk; i++)
		pattern_fill(words + i * BLOCK_WORDS, block + i);
	memset(words, 0x5a, disk->write ? 0 : bytes);
	start = now();
	done = disk->write ? pwrite(disk->file, words, bytes, at)
			   : pread(disk->file, words, bytes, at);
	disk->took[disk->requests++] = now() - start;
	if (disk->write && done == (ssize_t)bytes) {
		memset(words, 0x5a, bytes);
		done = pread(disk->file, words, bytes, at);
	}
	if (done != (ssize_t)bytes)
		disk->errors++;
	else
		for (uint64_t i = 0; i < disk->chunk; i++)
			check_block(disk, words + i * BLOCK_WORDS, block + i);
	munmap(words, bytes);
}

static void drop_caches(void)
{
	int file = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (file >= 0) {
		dprintf(file, "3");
		close(file);
	}
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(struct disk *disk, const char *mode, double seconds)
{
	uint64_t n = disk->requests;

	qsort(disk->took, n, sizeof(double), by_time);
	printf("RESULT disk %s %s chunk_kib %llu mib_per_s %.3f requests %llu median_ms %.2f p99_ms %.2f worst_ms %.2f wrong %llu errors %llu\n",
	       disk->label, mode, (unsigned long long)(disk->chunk * BLOCK_BYTES / 1024),
	       (double)(n * disk->chunk * BLOCK_BYTES) / 1048576.0 / seconds, (unsigned long long)n,
	       n ? disk->took[n / 2] * 1e3 : 0, n ? disk->took[n * 99 / 100] * 1e3 : 0,
	       n ? disk->took[n - 1] * 1e3 : 0, (unsigned long long)disk->wrong,
	       (unsigned long long)disk->errors);
}

int command_disk(int argc, char **argv)
{
	struct disk disk = { .file = -1 };
	double start = now(), end;
	uint64_t block = 0;

	if (argc != 7)
		return 2;
	disk.label = argv[6];
	disk.write = !strcmp(argv[5], "write");
	disk.buffered = !strcmp(argv[5], "buffered");
	disk.blocks = strtoull(argv[2], NULL, 0) * BLOCKS_PER_MIB;
	disk.chunk = strtoull(argv[3], NULL, 0) * 1024 / BLOCK_BYTES;
	disk.file =
		open(argv[1], (disk.write ? O_RDWR : O_RDONLY) | (disk.buffered ? 0 : O_DIRECT));
	disk.took = calloc(REQUESTS_MAX, sizeof(double));
	if (disk.file < 0 || !disk.took || !disk.chunk) {
		perror(argv[1]);
		return 1;
	}
	for (end = start + atof(argv[4]); now() < end && disk.requests < REQUESTS_MAX;) {
		request(&disk, block);
		block += disk.chunk;
		if (block + disk.chunk > disk.blocks) {
			block = 0;
			if (disk.buffered)
				drop_caches();
		}
	}
	report(&disk, argv[5], now() - start);
	return disk.wrong || disk.errors || !disk.requests;
}
