/* SPDX-License-Identifier: MIT */
/*
 * A part of xen-mapcache.c: RAM blocks other than the guest's main memory, a display's memory and
 * ROMs. QEMU asks once for all of such a block and keeps the pointer for the block's life, reads
 * and writes through it whatever it was first asked for, and unlocks pointers into it that nobody
 * has locked.
 */
#ifndef XEN_MAPCACHE_BLOCKS_H
#define XEN_MAPCACHE_BLOCKS_H

#include "qemu/osdep.h"
#include "exec/cpu-common.h"
#if __has_include("system/runstate.h")
#include "system/runstate.h"
#else
#include "sysemu/runstate.h"
#endif

#include <pthread.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#define BLOCKS_MAX 256u
#define BLOCKS_PAGE UINT64_C(4096)
#define BLOCKS_PAGES_OF(size) (((size) + BLOCKS_PAGE - 1) & ~(BLOCKS_PAGE - 1))

/* size is stored last and cleared first (release, acquire with blocks_offset()): while it is not 0
 * the others stand. */
struct block {
	uint8_t *host;
	ram_addr_t offset;
	uint64_t size; /* atomic */
};

static struct {
	struct mapcache *cache;
	hwaddr (*translate)(hwaddr offset, ram_addr_t size);
	pthread_mutex_t lock; /* of changes; held across the mapping of a block, which is rare */
	struct block table[BLOCKS_MAX];
	struct {
		uint64_t address, size;
	} * placeholders;
	size_t placeholder_count;
} blocks = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* translate: the guest address of a block's memory when it has left its offset; NULL: it never does. */
static void blocks_open(struct mapcache *cache, hwaddr (*translate)(hwaddr offset, ram_addr_t size))
{
	blocks.translate = translate;
	blocks.cache = cache;
}

/* ---- what QEMU knows of its blocks --------------------------------------------------------- */

static int block_end_of_main(RAMBlock *block, void *data)
{
	uint64_t *end = data;

	if (qemu_ram_get_offset(block) != 0)
		return 0;
	*end = qemu_ram_get_max_length(block);
	return 1;
}

/*
 * Whether it is such a block that is asked for. Main memory is locked for DMA only, and begins at
 * 0; a block's first user can be a DMA engine, too.
 */
static bool blocks_asked(hwaddr address, ram_addr_t block_offset, bool dma)
{
	uint64_t end = UINT64_MAX;

	if (!dma || block_offset != 0)
		return true;
	qemu_ram_foreach_block(block_end_of_main, &end);
	return address >= end;
}

static int block_is_at(RAMBlock *block, void *host)
{
	return qemu_ram_get_host_addr(block) == host;
}

/* ---- the table ------------------------------------------------------------------------------ */

static uint64_t block_size(const struct block *block)
{
	return __atomic_load_n(&block->size, __ATOMIC_ACQUIRE);
}

static struct block *block_find(hwaddr offset)
{
	for (unsigned int i = 0; i < BLOCKS_MAX; i++) {
		if (block_size(&blocks.table[i]) && blocks.table[i].offset == offset)
			return &blocks.table[i];
	}
	return NULL;
}

static struct block *block_find_free(void)
{
	for (unsigned int i = 0; i < BLOCKS_MAX; i++) {
		if (!block_size(&blocks.table[i]))
			return &blocks.table[i];
	}
	return NULL;
}

static const struct block *block_find_pointer(const void *pointer)
{
	for (unsigned int i = 0; i < BLOCKS_MAX; i++) {
		const struct block *block = &blocks.table[i];
		uint64_t size = block_size(block);

		if (size && (uintptr_t)pointer - (uintptr_t)block->host < size)
			return block;
	}
	return NULL;
}

/* The offset among QEMU's RAM blocks of a pointer into one. Any thread, no lock. */
static bool blocks_offset(const void *pointer, ram_addr_t *offset)
{
	const struct block *block = block_find_pointer(pointer);

	if (block)
		*offset = block->offset + (ram_addr_t)((const uint8_t *)pointer - block->host);
	return block != NULL;
}

/* ---- mapping ---------------------------------------------------------------------------------- */

/* For writing whatever it is wanted for first: the pointer is everybody's. Memory that can only be
 * read (a ROM, on Arm) is mapped for reading. */
static void *block_pin(hwaddr address, hwaddr size, unsigned int flags)
{
	struct mapcache_client *client = mapcache_thread_client(blocks.cache);
	size_t len = (size_t)size;
	void *pointer =
		client ? mapcache_pin(client, address, &len, PROT_READ | PROT_WRITE, flags) : NULL;

	if (!pointer && client && errno == EACCES) {
		len = (size_t)size;
		pointer = mapcache_pin(client, address, &len, PROT_READ, flags);
	}
	return pointer;
}

static bool block_is_there(uint64_t address)
{
	void *pointer = block_pin(address, BLOCKS_PAGE, 0);

	if (!pointer)
		return false;
	mapcache_unpin(blocks.cache, pointer, 0);
	return true;
}

static int block_add_placeholder(uint64_t address, uint64_t size)
{
	void *more = realloc(blocks.placeholders,
			     (blocks.placeholder_count + 1) * sizeof(*blocks.placeholders));
	int error;

	if (!more)
		return -ENOMEM;
	blocks.placeholders = more;
	error = mapcache_placeholder(blocks.cache, address, size);
	if (error)
		return error;
	blocks.placeholders[blocks.placeholder_count].address = address;
	blocks.placeholders[blocks.placeholder_count++].size = size;
	return 0;
}

/* Only under pages that have no memory, be it the guest's or a placeholder's. */
static int block_fill_holes(uint64_t address, uint64_t size)
{
	uint64_t end = address + size;
	int error = 0;

	while (address < end && !error) {
		uint64_t start = address;

		while (address < end && !block_is_there(address) && errno == EFAULT)
			address += BLOCKS_PAGE;
		if (address > start)
			error = block_add_placeholder(start, address - start);
		else if (!block_is_there(address))
			error = -errno;
		else
			address += BLOCKS_PAGE;
	}
	return error;
}

/* As it is, else where the block has moved to, else, in a guest that comes in, with memory of our
 * own where the guest has none yet. */
static void *block_map(hwaddr offset, hwaddr size)
{
	void *pointer = block_pin(offset, size, MAPCACHE_PIN_OWN_MAPPING);
	int error;

	if (!pointer && errno == EFAULT && blocks.translate) {
		hwaddr moved = blocks.translate(offset, size);

		if (moved != offset)
			return block_pin(moved, size, MAPCACHE_PIN_OWN_MAPPING);
		errno = EFAULT;
	}
	if (pointer || errno != EFAULT || !runstate_check(RUN_STATE_INMIGRATE))
		return pointer;
	error = block_fill_holes(offset, size);
	if (!error)
		return block_pin(offset, size, MAPCACHE_PIN_OWN_MAPPING);
	errno = -error;
	return NULL;
}

static uint8_t *block_add(hwaddr offset, hwaddr size, void *host)
{
	struct block *block = block_find_free();

	if (!host)
		return NULL;
	if (!block) {
		mapcache_unpin(blocks.cache, host, 0);
		errno = ENOMEM;
		return NULL;
	}
	block->host = host;
	block->offset = offset;
	__atomic_store_n(&block->size, size, __ATOMIC_RELEASE);
	return host;
}

/*
 * The block at this offset, mapped for writing at its first call: two threads that need it first
 * at the same time get the same. What has no memory while the guest comes in gets some of this
 * process' own until blocks_relocate(). NULL with errno.
 */
static uint8_t *blocks_map(hwaddr offset, hwaddr size)
{
	struct block *block;
	uint8_t *host;

	if (!size || (offset & (BLOCKS_PAGE - 1)) || size > SIZE_MAX - BLOCKS_PAGE) {
		errno = EINVAL;
		return NULL;
	}
	pthread_mutex_lock(&blocks.lock);
	block = block_find(offset);
	if (block && block_size(block) < size)
		errno = EINVAL;
	host = block ? (block_size(block) < size ? NULL : block->host)
		     : block_add(offset, size, block_map(offset, BLOCKS_PAGES_OF(size)));
	pthread_mutex_unlock(&blocks.lock);
	return host;
}

static uint8_t *block_relocate(hwaddr offset, hwaddr address, hwaddr size)
{
	struct block *block = block_find(offset);
	uint64_t now;
	int count;

	/* Nobody has asked for it so far. */
	if (!block)
		return block_add(offset, size,
				 block_pin(address, BLOCKS_PAGES_OF(size),
					   MAPCACHE_PIN_OWN_MAPPING));
	count = mapcache_gpa(blocks.cache, block->host, &now);
	if (!count)
		count = mapcache_replace(blocks.cache, now, address, BLOCKS_PAGES_OF(size));
	if (count == 1)
		return block->host;
	errno = count < 0 ? -count : ENOENT;
	return NULL;
}

/* The block shows other guest memory from now on, at the same host address. NULL with errno. */
static uint8_t *blocks_relocate(hwaddr offset, hwaddr address, hwaddr size)
{
	uint8_t *host;

	if (!size || ((offset | address) & (BLOCKS_PAGE - 1)) || size > SIZE_MAX - BLOCKS_PAGE) {
		errno = EINVAL;
		return NULL;
	}
	pthread_mutex_lock(&blocks.lock);
	host = block_relocate(offset, address, size);
	pthread_mutex_unlock(&blocks.lock);
	return host;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void block_release(struct block *block)
{
	uint8_t *host = block->host;

	__atomic_store_n(&block->size, 0, __ATOMIC_RELEASE);
	mapcache_unpin(blocks.cache, host, 0);
}

/*
 * A block's owner gives it up when it has left QEMU's list of blocks. While it is there, somebody
 * has had a pointer to its first byte without a lock of its own, as DMA to display memory has.
 */
static void blocks_unlock(const void *pointer)
{
	const struct block *block = block_find_pointer(pointer);

	if (!block || block->host != pointer || qemu_ram_foreach_block(block_is_at, block->host))
		return;
	pthread_mutex_lock(&blocks.lock);
	block_release(&blocks.table[block - blocks.table]);
	pthread_mutex_unlock(&blocks.lock);
}

/* It sees nothing of this process' memory any more. */
static void blocks_guest_runs(void)
{
	pthread_mutex_lock(&blocks.lock);
	for (size_t i = 0; i < blocks.placeholder_count; i++)
		mapcache_placeholder_end(blocks.cache, blocks.placeholders[i].address,
					 blocks.placeholders[i].size);
	free(blocks.placeholders);
	blocks.placeholders = NULL;
	blocks.placeholder_count = 0;
	pthread_mutex_unlock(&blocks.lock);
}

#endif
