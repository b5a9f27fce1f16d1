/* SPDX-License-Identifier: MIT */
/*
 * xen-mapcache.c for a QEMU tree, by way of libmapcache: takes the place of the file of that name;
 * README.md beside this has the steps. The interface is QEMU's, what stands behind it:
 *
 *   main memory, locked     a pin: good until xen_invalidate_map_cache_entry(), across INVALIDATE
 *   main memory, unlocked   good to the end of the RCU read section (transient.h)
 *   other RAM blocks        mapped once, for good (mapcache-blocks.h)
 *   grants                  locked only, unmapped at the unlock (mapcache-grants.h)
 *   failure                 NULL, and the hook is told; the process goes on
 *
 * Nothing here waits for block I/O or needs the main loop, so that coroutines may call it, and may
 * be on another thread when they unlock.
 *
 * ram_block_notify_add() and its like are not called. Their consumers (the block layer's registrar
 * of buffers, and by it nvme://) want to be on the main thread with the big lock, which whoever
 * maps here need not be, and want to pin the memory for a device, which Linux refuses for foreign
 * memory: such a driver copies, as it did.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"

#include "hw/xen/xen.h"
#if __has_include("system/xen-mapcache.h")
#include "system/runstate.h"
#include "system/xen.h"
#include "system/xen-mapcache.h"
#else
#include "sysemu/runstate.h"
#include "sysemu/xen.h"
#include "sysemu/xen-mapcache.h"
#endif

#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "mapcache-blocks.h"
#include "mapcache-grants.h"
#include "mapcache-settings.h"
#include "mapcache-trace.h"
#include "ranges.h"
#include "transient.h"
#include "xen-mapcache-hooks.h"

/* QEMU 9.1 gave the look-up three more arguments, and grants. */
#define HAS_GRANTS (QEMU_VERSION_MAJOR > 9 || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 1))

#define PAGE_BYTES UINT64_C(4096)
#define NO_RAM_ADDRESS (~(ram_addr_t)0) /* RAM_ADDR_INVALID, whose header moves about */

/* One guest, one process: as the interface has it. */
static struct {
	struct mapcache *cache;
	xen_map_cache_failure failed;
	void *failed_data;
} state;

void xen_map_cache_on_failure(xen_map_cache_failure hook, void *data)
{
	state.failed = hook;
	state.failed_data = data;
}

/* Where the old file called exit(). */
static void *failed(hwaddr address, hwaddr size, int error)
{
	if (state.failed)
		state.failed(state.failed_data, address, size, error);
	trace_look_up_return(NULL);
	return NULL;
}

static void log_line(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	if (level <= MAPCACHE_LOG_WARNING)
		error_report("mapcache: %s", message);
}

/* ---- open and close --------------------------------------------------------------------------- */

static void notify(void *data, enum mapcache_event event, uint64_t gpa, void *address, uint64_t len)
{
	(void)data;
	(void)address;
	(void)len;
	if (event == MAPCACHE_EVENT_ADDED)
		trace_mapped(gpa >> 20);
}

/*
 * QEMU disables its ioreq server while the guest is stopped, and so misses every INVALIDATE of
 * that time. Once before the server is enabled again, so that no device that starts finds anything
 * older, and once after everybody has started: what changed in between sent nothing either.
 */
static void state_changes(void *opaque, bool running, RunState run_state)
{
	(void)opaque;
	(void)run_state;
	if (!running || !state.cache)
		return;
	blocks_guest_runs();
	xen_invalidate_map_cache();
}

static void watch_state(void)
{
	static bool watched;

	if (!watched) {
		qemu_add_vm_change_state_handler_prio(state_changes, NULL, 0);
		qemu_add_vm_change_state_handler_prio(state_changes, NULL, INT_MAX);
	}
	watched = true;
}

/* There is no guest yet that could lose anything. */
static void refuse_to_start(const char *what, int error)
{
	error_report("mapcache: %s: %s", what, strerror(-error));
	failed(0, 0, error);
	exit(EXIT_FAILURE);
}

/*
 * QEMU calls this after it has enabled its ioreq server. That is not too late: the cache starts
 * empty, and what is mapped from now on is followed by every INVALIDATE.
 */
void xen_map_cache_init(phys_offset_to_gaddr_t f, void *opaque)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = xen_domid,
		.log = log_line,
		.notify = notify,
	};
	const char *wrong;
	int error;

	(void)opaque;
	if (state.cache)
		return;
	error = settings_parse(getenv("XEN_MAPCACHE"), &options, &wrong);
	if (error)
		refuse_to_start(wrong, error);
	error = settings_address_space(&options);
	if (error)
		refuse_to_start("too little address space (RLIMIT_AS)", error);
	error = mapcache_open(&options, &state.cache);
	if (error)
		refuse_to_start("cannot open", error);
	trace_opened(options.max_bytes >> 20, options.max_bytes);
	blocks_open(state.cache, f);
	transient_open(state.cache);
	if (HAS_GRANTS)
		grants_open(&options);
	watch_state();
}

int xen_map_cache_close(void)
{
	int error;

	if (!state.cache)
		return grants_close();
	transient_close();
	error = mapcache_close(state.cache);
	if (error)
		return error;
	state.cache = NULL;
	return grants_close();
}

struct mapcache *xen_map_cache_library(void)
{
	return state.cache;
}

bool xen_map_cache_enabled(void)
{
	return state.cache != NULL;
}

/* ---- look-ups --------------------------------------------------------------------------------- */

/* Handed out only when the unlock will know it. */
static void *locked(struct mapcache *cache, void *pointer)
{
	int error = pointer ? ranges_lock(cache, pointer) : -errno;

	if (!error)
		return pointer;
	if (pointer)
		mapcache_unpin(cache, pointer, 0);
	errno = -error;
	return NULL;
}

static void *map_main(hwaddr address, hwaddr size, bool lock, int prot)
{
	struct mapcache_client *client;
	size_t len = (size_t)size;

	if (!lock)
		return transient_lookup(address, len, prot);
	client = mapcache_thread_client(state.cache);
	if (!client)
		return NULL;
	return locked(state.cache,
		      mapcache_pin(client, address, &len, prot, MAPCACHE_PIN_CONTIGUOUS));
}

/*
 * For writing, as QEMU's own does: who reads a page now writes its neighbour next, and to map a
 * bucket again for that costs more than is gained. What can only be read is mapped so.
 */
static void *look_up_main(hwaddr address, hwaddr size, bool lock, bool write)
{
	void *pointer;

	if (size == 0)
		size = PAGE_BYTES - address % PAGE_BYTES;
	if (size > SIZE_MAX || address + size < address) {
		errno = ERANGE;
		return NULL;
	}
	pointer = map_main(address, size, lock, PROT_READ | PROT_WRITE);
	if (!pointer && errno == EACCES && !write)
		pointer = map_main(address, size, lock, PROT_READ);
	return pointer;
}

static uint8_t *look_up(hwaddr address, hwaddr size, ram_addr_t block_offset, bool lock, bool dma,
			bool write)
{
	void *pointer;

	if (!state.cache)
		return failed(address, size, -ENODEV);
	trace_look_up(address);
	if (lock && blocks_asked(address, block_offset, dma))
		pointer = blocks_map(address, size);
	else
		pointer = look_up_main(address, size, lock, write);
	if (!pointer)
		return failed(address, size, -errno);
	trace_look_up_return(pointer);
	return pointer;
}

static uint8_t *look_up_grants(hwaddr address, hwaddr size, ram_addr_t block_offset, bool lock,
			       bool write)
{
	void *pointer;

	if (!lock || size > SIZE_MAX)
		return failed(address, size, -EINVAL);
	pointer = locked(grants_cache(write), grants_map(address, size, block_offset, write));
	return pointer ? pointer : failed(address, size, -errno);
}

/* What QEMU asks for, by either interface. */
static uint8_t *look_up_any(bool granted, hwaddr address, hwaddr size, ram_addr_t block_offset,
			    bool lock, bool dma, bool write)
{
	return granted ? look_up_grants(address, size, block_offset, lock, write)
		       : look_up(address, size, block_offset, lock, dma, write);
}

#if HAS_GRANTS
uint8_t *xen_map_cache(MemoryRegion *mr, hwaddr phys_addr, hwaddr size, ram_addr_t ram_addr_offset,
		       uint8_t lock, bool dma, bool is_write)
{
	return look_up_any(mr && xen_mr_is_grants(mr), phys_addr, size, ram_addr_offset, lock, dma,
			   is_write);
}
#else
uint8_t *xen_map_cache(hwaddr phys_addr, hwaddr size, uint8_t lock, bool dma)
{
	return look_up_any(false, phys_addr, size, 0, lock, dma, true);
}
#endif

/* ---- from a pointer --------------------------------------------------------------------------- */

ram_addr_t xen_ram_addr_from_mapcache(void *ptr)
{
	ram_addr_t address;
	uint64_t gpa;

	if (!state.cache)
		return NO_RAM_ADDRESS;
	if (blocks_offset(ptr, &address))
		return address;
	if (!mapcache_gpa(state.cache, ptr, &gpa))
		return (ram_addr_t)gpa;
	if (grants_address(ptr, &address))
		return address;
	trace_address_unknown(ptr);
	return NO_RAM_ADDRESS;
}

/*
 * QEMU has said by then what was written (xen_hvm_modified_memory), so that nothing is reported
 * here. Never blocks for main memory: no bottom half and no yield for callers in coroutines.
 */
void xen_invalidate_map_cache_entry(uint8_t *buffer)
{
	uint64_t left;
	struct mapcache *cache = ranges_unlock(buffer, &left);

	if (cache && cache == state.cache) {
		mapcache_unpin(cache, buffer, 0);
	} else if (cache) {
		grants_unlock(cache, buffer, left == 0);
	} else {
		trace_unlock_unknown(buffer);
		blocks_unlock(buffer);
	}
}

/* No draining of block I/O: what DMA has locked stays its own, and who comes later gets what is
 * there now. */
void xen_invalidate_map_cache(void)
{
	if (!state.cache)
		return;
	mapcache_invalidate(state.cache);
	transient_invalidated();
}

uint8_t *xen_replace_cache_entry(hwaddr old_phys_addr, hwaddr new_phys_addr, hwaddr size)
{
	uint8_t *pointer;

	if (!state.cache)
		return failed(old_phys_addr, size, -ENODEV);
	trace_relocated(old_phys_addr, new_phys_addr);
	pointer = blocks_relocate(old_phys_addr, new_phys_addr, size);
	return pointer ? pointer : failed(old_phys_addr, size, -errno);
}
