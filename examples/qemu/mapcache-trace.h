/* SPDX-License-Identifier: MIT */
/*
 * The trace events of QEMU's own map cache that have a meaning here, under their names; nothing
 * where QEMU's trace-events has them not.
 */
#ifndef XEN_MAPCACHE_TRACE_H
#define XEN_MAPCACHE_TRACE_H

#if __has_include("trace.h")
#include "trace.h"
#endif

#ifdef TRACE_XEN_MAP_CACHE_ENABLED
#define trace_look_up(address) trace_xen_map_cache(address)
#define trace_look_up_return(pointer) trace_xen_map_cache_return(pointer)
#define trace_mapped(bucket) trace_xen_remap_bucket(bucket)
#else
#define trace_look_up(address) ((void)(address))
#define trace_look_up_return(pointer) ((void)(pointer))
#define trace_mapped(bucket) ((void)(bucket))
#endif

#ifdef TRACE_XEN_MAP_CACHE_INIT_ENABLED
#define trace_opened(buckets, size) trace_xen_map_cache_init(buckets, size)
#define trace_relocated(from, to) trace_xen_replace_cache_entry_dummy(from, to)
#define trace_unlock_unknown(pointer)                                                              \
	trace_xen_invalidate_map_cache_entry_unlocked_not_found(pointer)
#define trace_address_unknown(pointer) trace_xen_ram_addr_from_mapcache_not_found(pointer)
#else
#define trace_opened(buckets, size) ((void)(buckets), (void)(size))
#define trace_relocated(from, to) ((void)(from), (void)(to))
#define trace_unlock_unknown(pointer) ((void)(pointer))
#define trace_address_unknown(pointer) ((void)(pointer))
#endif

#endif
