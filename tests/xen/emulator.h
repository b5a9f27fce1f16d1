/* SPDX-License-Identifier: MIT */
/*
 * The device model that the tests run: one ioreq server through mapcache/ioreq.h, its event
 * channels and its loop, the guest's command ports and the test device.
 *
 * A test posts a command to a vCPU and serves requests until its result is there. One
 * thread serves all vCPUs (emulator_call, emulator_wait), or one thread each
 * (emulator_wait_alone, after emulator_adopt).
 */
#ifndef XEN_EMULATOR_H
#define XEN_EMULATOR_H

#include <stdbool.h>

#include "tests/xen/domain.h"

#include <mapcache/ioreq.h>
#include <xenevtchn.h>

#include "tests/xen/device.h"
#include "tests/xen/protocol.h"
#include "tests/xen/raw_server.h"

struct emulator_options {
	const struct mapcache_options *cache; /* NULL: the defaults; domid is filled in */
	uint32_t ioreq_flags;                 /* MAPCACHE_IOREQ_* */
	bool raw;                             /* not the library's server, but a raw one ... */
	enum raw_behaviour behaviour;         /* ... that does this */
	void (*invalidate)(void);             /* RAW_TELLS */
	bool no_ranges;                       /* takes no ports and no device memory */

	/* First in line for requests other than commands; -ENXIO: not mine. */
	int (*handler)(void *handler_data, struct mapcache_client *client,
		       struct mapcache_request *request);
	void *handler_data;
};

struct emulator_vcpu {
	xenevtchn_handle *events;
	int port; /* -1: not bound */
	struct mapcache_client *client;
	uint32_t command; /* posted, COMMAND_NONE when none is */
	uint32_t argument[COMMAND_ARGUMENTS];
	bool finished;
	uint32_t result;
	uint64_t requests;  /* answered, INVALIDATE included */
	uint64_t answer_ns; /* how long the last INVALIDATE took until it could be answered */
};

struct emulator {
	struct domain *domain;
	struct emulator_options options;
	struct mapcache *cache;
	struct mapcache_ioreq *server;
	struct raw_server *raw;
	struct device device;
	struct emulator_vcpu vcpu[GUEST_VCPUS];
	struct emulator *peer; /* another server of the same guest, served with this one */
};

/* Open the cache and the server and take the ranges. Failures fail the test. */
void emulator_open(struct emulator *emulator, struct domain *domain,
		   const struct emulator_options *options);
void emulator_enable(struct emulator *emulator);
void emulator_close(struct emulator *emulator);

/* Both, the way most tests need it: open, enable, start the guest. */
void emulator_start(struct emulator *emulator, struct domain *domain,
		    const struct emulator_options *options);
/* Shut the guest down, close, destroy; the domain must be gone after it. */
void emulator_finish(struct emulator *emulator);

/* Let the calling thread be the one that serves vcpu from now on. */
void emulator_adopt(struct emulator *emulator, uint32_t vcpu);

/* Post a command; wait for its result; both. Arguments that are not given are 0. */
void emulator_post(struct emulator *emulator, uint32_t vcpu, enum command command,
		   const uint32_t argument[COMMAND_ARGUMENTS]);
uint32_t emulator_wait(struct emulator *emulator, uint32_t vcpu);
uint32_t emulator_wait_alone(struct emulator *emulator, uint32_t vcpu);
uint32_t emulator_call(struct emulator *emulator, uint32_t vcpu, enum command command,
		       const uint32_t argument[COMMAND_ARGUMENTS]);

/* Complete a request that the handler has deferred. */
void emulator_complete(struct emulator *emulator, const struct mapcache_request *request);

/* As emulator_wait(), but false when nothing has come for timeout_ms. */
bool emulator_try_wait(struct emulator *emulator, uint32_t vcpu, unsigned int timeout_ms);

/* Answer what comes within that time. */
void emulator_serve(struct emulator *emulator, unsigned int ms);

/* emulator_call(emulator, vcpu, command, ARGUMENTS(a, b, c)) */
#define ARGUMENTS(...) ((const uint32_t[COMMAND_ARGUMENTS]){ __VA_ARGS__ })

#endif
