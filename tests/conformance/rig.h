/* SPDX-License-Identifier: MIT */
/*
 * What a fact about Xen is looked at with: a domain whose vCPUs do what they are told, and ioreq
 * servers on the Xen libraries' own calls. The same source runs on xensim and in a real dom0; what
 * differs is behind platform.h.
 *
 * A vCPU that has nothing to do stands in a read of its command port, which nobody answers: it
 * makes no hypercall and does not enter the guest. So what happens is the test's own doing.
 */
#ifndef CONFORMANCE_RIG_H
#define CONFORMANCE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "tests/conformance/platform.h"
#include "tests/xen/protocol.h"

#define RIG_SERVERS 4
#define RIG_LOG 64
#define RIG_PAGES 1024u
#define RIG_GFN ((uint64_t)GUEST_DATA / GUEST_PAGE_SIZE) /* the first that is the test's own */
/* One past the last frame of RAM. */
#define RIG_END ((uint64_t)GUEST_RAM / GUEST_PAGE_SIZE + RIG_PAGES)
/* Device memory of the servers of tests, a page each; the command ports are server 0's. */
#define RIG_DEVICE(server) (GUEST_MMIO + 0x10000u * (server))

/* A request as it came, without its state. */
struct request {
	unsigned int server, vcpu;
	unsigned int type, size, dir, df, data_is_ptr, count;
	uint64_t addr, data;
};

struct server {
	ioservid_t id;
	bool open, enabled;
	bool deaf; /* takes requests and does not answer */
	xenevtchn_handle *events;
	xenforeignmemory_resource_handle *resource;
	struct buffered_iopage *ring; /* NULL: none */
	struct shared_iopage *page;
	int port[GUEST_VCPUS], ring_port;
	unsigned int invalidates[GUEST_VCPUS];
	unsigned int held; /* bit for each vCPU: a request that was taken and not answered */
};

struct rig {
	struct platform platform;
	domid_t domid;
	uint32_t vcpus;
	xendevicemodel_handle *model;
	xenforeignmemory_handle *memory;
	struct server server[RIG_SERVERS];
	struct request log[RIG_LOG]; /* what did not come to command ports, INVALIDATE included */
	unsigned int logged;
	struct {
		uint32_t command, argument[COMMAND_ARGUMENTS], result;
		bool parked, finished;
	} vcpu[GUEST_VCPUS];
};

/* Server 0 has the command ports and is enabled. Nothing runs yet; rig_run() starts the vCPUs and
 * waits until they stand still. Whatever fails here ends the process. */
void rig_open(struct rig *rig, const struct platform_options *options);
void rig_run(struct rig *rig);
/* Servers closed and domain destroyed. */
void rig_close(struct rig *rig);
void rig_close_servers(struct rig *rig);

/* A server with a range of device memory of its own (RIG_DEVICE), not enabled. */
struct server *rig_server(struct rig *rig, unsigned int index, int bufioreq);
void rig_enable(struct rig *rig, struct server *server, bool enable);

/* A command of tests/xen/protocol.h, and all requests that it brings answered. Arguments that are
 * not given are 0. */
#define rig_call(rig, vcpu, command, ...)                                                          \
	rig_call_with(rig, vcpu, command, (const uint32_t[COMMAND_ARGUMENTS]){ __VA_ARGS__ })
uint32_t rig_call_with(struct rig *rig, unsigned int vcpu, enum command command,
		       const uint32_t *argument);
/* The same in two steps. rig_wait: false when it is not finished after some time. */
#define rig_post(rig, vcpu, command, ...)                                                          \
	rig_post_with(rig, vcpu, command, (const uint32_t[COMMAND_ARGUMENTS]){ __VA_ARGS__ })
void rig_post_with(struct rig *rig, unsigned int vcpu, enum command command,
		   const uint32_t *argument);
bool rig_wait(struct rig *rig, unsigned int vcpu, unsigned int ms);
/* Serve what comes until nothing has for a while. */
void rig_settle(struct rig *rig);
/* Answer what a deaf server holds, and hear again. */
void rig_hear(struct rig *rig, struct server *server);

/* What servers were told since the last look: INVALIDATEs of all vCPUs together. */
unsigned int rig_told(struct rig *rig, unsigned int server);
/* Guest memory by a map of its own, unmapped again. rig_word: ~0u and errno at a hole. */
uint32_t rig_word(struct rig *rig, uint64_t gfn);
void rig_set_word(struct rig *rig, uint64_t gfn, uint32_t value);
void *rig_map(struct rig *rig, uint64_t gfn, size_t pages, int *err);

_Noreturn void rig_fail(const char *what);

#endif
