/* SPDX-License-Identifier: MIT */
/*
 * A fact: what is said of Xen, a look at it, and what was seen on each host. A look says what it
 * sees in a few words; it judges nothing.
 */
#ifndef CONFORMANCE_FACTS_H
#define CONFORMANCE_FACTS_H

#include <stddef.h>

#include "tests/conformance/rig.h"

struct fact {
	const char *name;
	const char *statement;
	void (*look)(void);
	/*
	 * By host, what is seen there, several with " | " between them; NULL: as on the host before
	 * it in the list of the same machine (xensim as the real one, 4.20 as 4.17, arm64 as 4.17).
	 * A text in brackets: not looked at there, and why.
	 */
	const char *seen[HOSTS];
};

/* Add to what is seen. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern const struct fact facts[];
extern const size_t facts_count;

/* What is expected on a host. */
const char *fact_expected(const struct fact *fact, enum host host);

/* looks: mapping */
void look_map_mixed(void);
void look_map_all_holes(void);
void look_map_no_errors_wanted(void);
void look_map_no_domain(void);
void look_map_nothing(void);
void look_map_far(void);
void look_map_same_frame(void);
void look_map_many(void);
void look_map_read_only(void);
void look_touch_hole(void);
void look_coherent(void);
void look_map_fixed(void);
void look_map_fixed_over(void);
void look_fixed_failed_hole(void);
void look_fixed_failed_restricted(void);
void look_unmap_part(void);
void look_unmap_several(void);
void look_replace_whole(void);
void look_remap(void);
void look_fork(void);
void look_read_only_memory(void);
void look_stale(void);
void look_held(void);
/* invalidate */
void look_contents(void);
void look_decrease(void);
void look_decrease_many(void);
void look_decrease_hole(void);
void look_remove(void);
void look_remove_hole(void);
void look_populate_hole(void);
void look_populate_over(void);
void look_exchange(void);
void look_share_info(void);
void look_superpage_part(void);
void look_shatter_fails(void);
void look_split(void);
void look_outside(void);
void look_outside_sleeping(void);
void look_outside_before(void);
void look_outside_give(void);
/* servers */
void look_everybody_told(void);
void look_order(void);
void look_who_waits(void);
void look_all_awaited(void);
void look_enabled_late(void);
void look_unknown_server(void);
void look_ranges(void);
void look_resource(void);
void look_servers_max(void);
/* requests */
void look_store(void);
void look_load(void);
void look_nobody(void);
void look_range_edge(void);
void look_ports(void);
void look_pci(void);
void look_rep_outs(void);
void look_rep_ins(void);
void look_rep_movs(void);
void look_rep_movs_back(void);
void look_rep_crossing(void);
void look_rep_stos(void);
void look_buffered(void);
void look_buffered_full(void);
/* domain */
void look_log_off(void);
void look_log_last(void);
void look_log_bulk(void);
void look_log_empty(void);
void look_grant(void);
void look_grant_read_only(void);
void look_grant_wrong(void);
void look_restrict_memory(void);
void look_restrict_model(void);
void look_restrict_all(void);
void look_death(void);
void look_death_calls(void);
void look_death_model(void);
void look_vcpus(void);
/* kernel: only where there is one */
void look_file(void);
void look_vmsplice(void);
void look_process_vm(void);
void look_io_uring(void);

#endif
