/* SPDX-License-Identifier: MIT */
/*
 * What examples/qemu uses of QEMU, and what QEMU calls of it: compiled with the headers that stand
 * in for QEMU's in our own tests, and in every tree that tests/qemu builds with QEMU's. Where the
 * two differ one of them does not compile.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "exec/cpu-common.h"
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

#define SAME(expression, ...)                                                                      \
	_Static_assert(__builtin_types_compatible_p(__typeof__(expression), __VA_ARGS__),          \
		       #expression " is not what the layer takes it for")

SAME((hwaddr)0, uint64_t);
SAME((ram_addr_t)0, uint64_t);
SAME(xen_domid, uint32_t);
SAME(&runstate_check, bool (*)(RunState));
SAME(&qemu_add_vm_change_state_handler_prio,
     VMChangeStateEntry *(*)(VMChangeStateHandler *, void *, int));
SAME((VMChangeStateHandler *)0, void (*)(void *, bool, RunState));
SAME(&qemu_ram_foreach_block, int (*)(int (*)(RAMBlock *, void *), void *));
SAME(&qemu_ram_get_host_addr, void *(*)(RAMBlock *));
SAME(&qemu_ram_get_offset, ram_addr_t (*)(RAMBlock *));
SAME(&qemu_ram_get_max_length, ram_addr_t (*)(RAMBlock *));
SAME(&call_rcu1, void (*)(struct rcu_head *, void (*)(struct rcu_head *)));
SAME(&qemu_bh_schedule, void (*)(QEMUBH *));
SAME(qemu_bh_new((QEMUBHFunc *)0, 0), QEMUBH *);
SAME((QEMUBHFunc *)0, void (*)(void *));

SAME(&xen_map_cache_init, void (*)(hwaddr (*)(hwaddr, ram_addr_t), void *));
SAME(&xen_ram_addr_from_mapcache, ram_addr_t (*)(void *));
SAME(&xen_invalidate_map_cache_entry, void (*)(uint8_t *));
SAME(&xen_invalidate_map_cache, void (*)(void));
SAME(&xen_replace_cache_entry, uint8_t *(*)(hwaddr, hwaddr, hwaddr));
#if QEMU_VERSION_MAJOR > 9 || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 1)
SAME(&xen_mr_is_grants, bool (*)(MemoryRegion *));
SAME(&xen_map_cache, uint8_t *(*)(MemoryRegion *, hwaddr, hwaddr, ram_addr_t, uint8_t, bool, bool));
#else
SAME(&xen_map_cache, uint8_t *(*)(hwaddr, hwaddr, uint8_t, bool));
#endif
