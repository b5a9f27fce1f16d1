/* SPDX-License-Identifier: MIT */
/* The table: what is said of Xen, and what was seen where. docs/facts.md is printed from it. */
#include "tests/conformance/facts.h"

#include <stdlib.h>

#define HEADING(text)                                                                              \
	{                                                                                          \
		.statement = text                                                                  \
	}
#define FACT(name, text, ...)                                                                      \
	{                                                                                          \
#name, text, look_##name,                                                          \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/* clang-format off */
const struct fact facts[] = {
	HEADING("Mapping"),
	FACT(map_mixed, "A map call with err[] for pages and holes in turn"),
	FACT(map_all_holes, "... for holes only"),
	FACT(map_no_errors_wanted, "A map call without err[] for a page and a hole"),
	FACT(map_no_domain, "A map call for a domain that does not exist"),
	FACT(map_nothing, "A map call for no pages"),
	FACT(map_far, "A map call for frames far beyond the guest's memory (2^35, 2^51, all ones)"),
	FACT(map_same_frame, "One frame three times in a call"),
	FACT(map_many, "4096 pages in one call"),
	FACT(map_read_only, "A store through a mapping made for reading"),
	FACT(touch_hole, "Touching the hole of a mapping"),
	FACT(coherent, "A guest and its mappings see each other's stores"),
	FACT(map_fixed, "A map call with `MAP_FIXED` inside a reservation"),
	FACT(map_fixed_over, "... over a foreign mapping"),
	FACT(fixed_failed_hole, "... that fails for a hole, without err[]"),
	FACT(fixed_failed_restricted, "... that fails as the handle is restricted to another domain"),
	FACT(unmap_part, "munmap of a part of a foreign mapping"),
	FACT(unmap_several, "munmap over two foreign mappings and what is around them"),
	FACT(replace_whole, "mmap with `MAP_FIXED` over a whole foreign mapping"),
	FACT(remap, "mremap of a foreign mapping to more"),
	FACT(fork, "After fork"),
	FACT(read_only_memory, "Memory made read-only for the guest (HVMMEM_ram_ro)"),
	FACT(stale, "A page given back and another got in its place: what old and new mappings show"),
	FACT(held, "A page given back while it is mapped: how many pages the domain has less"),
	HEADING("INVALIDATE"),
	FACT(contents, "The request"),
	FACT(decrease, "decrease_reservation of a page"),
	FACT(decrease_many, "... of eight in one hypercall"),
	FACT(decrease_hole, "... of a hole"),
	FACT(split, "... of 400 in one hypercall"),
	FACT(remove, "remove_from_physmap of a page"),
	FACT(remove_hole, "... of a hole"),
	FACT(populate_hole, "populate_physmap of a hole"),
	FACT(populate_over, "... of a frame that has a page"),
	FACT(exchange, "XENMEM_exchange of a page"),
	FACT(share_info, "add_to_physmap of the shared information page over a page"),
	FACT(superpage_part, "decrease_reservation of one page of a superpage"),
	FACT(shatter_fails, "... when the superpage cannot be shattered"),
	FACT(outside, "dom0 takes a page of a domain whose two vCPUs wait for a device model"),
	FACT(outside_sleeping, "... whose vCPUs sleep"),
	FACT(outside_before, "... before its first unpause, and its own first change after it"),
	FACT(outside_give, "dom0 gives a page into a hole"),
	HEADING("Servers"),
	FACT(everybody_told, "Who is told of one change"),
	FACT(all_awaited, "A vCPU whose change two servers are told of goes on when"),
	FACT(who_waits, "While one vCPU waits for the answer the other one"),
	FACT(enabled_late, "A server enabled late, or disabled for a while, is told of how many changes"),
	FACT(order, "Ids of servers made one after the other"),
	FACT(servers_max, "How many servers a domain can have"),
	FACT(unknown_server, "Calls for a server that is not there"),
	FACT(ranges, "Ranges of a server"),
	FACT(resource, "A server's pages as a resource"),
	HEADING("Requests"),
	FACT(store, "Stores of 1, 2 and 4 bytes to a device"),
	FACT(load, "Loads of 1, 2 and 4 bytes from a device"),
	FACT(nobody, "An address that no server has"),
	FACT(range_edge, "A load that reaches beyond its server's range"),
	FACT(ports, "Ports, 1, 2 and 4 bytes"),
	FACT(pci, "PCI configuration by ports 0xcf8 and 0xcfc"),
	FACT(rep_outs, "rep outs across a page"),
	FACT(rep_ins, "rep ins"),
	FACT(rep_movs, "rep movs to a device across a page, and from it"),
	FACT(rep_movs_back, "rep movs backwards across a page"),
	FACT(rep_stos, "rep stos to a device, across a page; and backwards"),
	FACT(buffered, "Single stores to video memory (a PC with Xen's VGA emulation, a server with a ring)"),
	FACT(buffered_full, "Four of them when the ring has room for two"),
	HEADING("Modified pages"),
	FACT(log_off, "modified_memory while there is no log"),
	FACT(log_last, "modified_memory of the last frames"),
	FACT(log_empty, "modified_memory of no frame, of frames that wrap around"),
	FACT(log_bulk, "modified_memory_bulk of three extents, the second past the end"),
	HEADING("Grants"),
	FACT(grant, "A page granted for writing"),
	FACT(grant_read_only, "A page granted for reading"),
	FACT(grant_wrong, "A reference that is none"),
	HEADING("Handles and domains"),
	FACT(restrict_memory, "A foreignmemory handle restricted to a domain"),
	FACT(restrict_model, "A devicemodel handle restricted to a domain"),
	FACT(restrict_all, "xentoolcore_restrict_all"),
	FACT(death, "A domain destroyed while two of its pages are mapped"),
	FACT(death_calls, "Calls for a domain that is dying, and for one that is gone"),
	FACT(vcpus, "nr_vcpus of a domain with two"),
	HEADING("dom0's kernel"),
	FACT(file, "write and read of a file by way of a foreign page"),
	FACT(vmsplice, "vmsplice of a foreign page"),
	FACT(vmsplice_granted, "... of a granted page"),
	FACT(process_vm, "process_vm_readv of a foreign page"),
	FACT(io_uring, "A foreign page as io_uring's fixed buffer"),
};
/* clang-format on */
const size_t facts_count = sizeof(facts) / sizeof(facts[0]);

const char *fact_expected(const struct fact *fact, enum host host)
{
	static const enum host before[HOSTS] = {
		[HOST_XENSIM_X86] = HOST_X86_417, [HOST_XENSIM_ARM] = HOST_ARM64_417,
		[HOST_X86_417] = HOSTS,           [HOST_X86_420] = HOST_X86_417,
		[HOST_ARM64_417] = HOST_X86_417,
	};

	for (; host != HOSTS; host = before[host])
		if (fact->seen[host])
			return fact->seen[host];
	return "";
}
