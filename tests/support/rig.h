/* SPDX-License-Identifier: MIT */
/*
 * A guest on the simulated Xen, and a device model that serves it: a cache, an ioreq server
 * and threads that wait for event channels. For tests; everything here asserts with cmocka
 * and is for the test's own thread, unless it says otherwise.
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <xenevtchn.h>

#include <mapcache/ioreq.h>
#include <tests/xensim/xensim.h>

#define RIG_VCPUS 128u
#define RIG_MMIO UINT64_C(0xe0000000) /* a page of registers */
#define RIG_PORT UINT64_C(0x600)      /* 16 ports */

/* ---- the guest ----------------------------------------------------------------------- */

/* Buckets, unless a test chooses: the default of 64-bit processes, in others as well. */
#define RIG_BUCKET_SHIFT 20

struct rig_options {
	struct xensim_options host;
	uint32_t vcpus;                /* default 1 */
	uint64_t ram_pages;            /* from frame 0; default 1024 */
	struct mapcache_options cache; /* size and domid are filled in */
};

struct rig {
	struct xensim_domain *domain;
	struct mapcache *cache;
	uint32_t domid, vcpus;
};

/* Start the host, a domain, a cache. options may be NULL. */
void rig_start(struct rig *rig, const struct rig_options *options);
/* The reverse; fails the test on anything leaked or any illegal step of the protocol. A test
 * that has closed the cache or destroyed the domain itself sets them to NULL. */
void rig_stop(struct rig *rig);
/* Only the first part of that: close the cache. */
void rig_close(struct rig *rig);

/* Run one guest program to its end. */
void rig_run(struct rig *rig, uint32_t vcpu, xensim_program program, void *data);

/* ---- device models --------------------------------------------------------------------- */

typedef int (*rig_handler)(void *data, struct mapcache_client *client,
			   struct mapcache_request *request);

struct rig_device;

struct rig_thread {
	struct rig_device *device;
	pthread_t thread;
	uint32_t index;
	xenevtchn_handle *evtchn;
	int vcpu_of_port[4096]; /* 0: none; vCPU + 1 */
};

struct rig_device {
	struct rig *rig;
	struct mapcache *cache;
	struct mapcache_ioreq *server;
	uint32_t threads;
	int stop; /* eventfd */
	struct rig_thread *thread;
};

struct rig_device_options {
	struct mapcache *cache; /* default the rig's */
	uint32_t flags, drain_ms;
	uint32_t threads; /* vCPU v is served by thread v % threads; default 1 */
	rig_handler handler;
	void *handler_data;
	bool no_ranges; /* default the page at RIG_MMIO and the ports at RIG_PORT */
};

/* What opens a server for the rig's guest, whose requests it answers without a look. */
struct mapcache_ioreq_options rig_ioreq_options(const struct rig *rig);
/* Such a server: disabled, without ranges. */
struct mapcache_ioreq *rig_server_open(struct rig *rig);

/* Open a server, add its ranges. It is disabled. */
void rig_device_open(struct rig_device *device, struct rig *rig,
		     const struct rig_device_options *options);
/* Enable it and start its threads. */
void rig_device_serve(struct rig_device *device);
/* The threads' end: from here on nothing is answered. */
void rig_device_halt(struct rig_device *device);
/* Halt if need be, close the server. */
void rig_device_close(struct rig_device *device);
/* Tell a vCPU that it was answered, by the channel of the thread that serves it. */
void rig_device_notify(struct rig_device *device, uint32_t vcpu);
/* The name that Xen knows the server by. */
uint16_t rig_device_id(const struct rig_device *device);

/* ---- a device that remembers ------------------------------------------------------------ */

#define RIG_RECORDS 64u

/* A handler for tests: keeps the last requests, answers reads with answer, fails with error. */
struct rig_recorder {
	pthread_mutex_t lock;
	uint64_t count;
	struct mapcache_request request[RIG_RECORDS];
	uint64_t answer;
	int error;
};

#define RIG_RECORDER                                                                               \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                  \
	}

int rig_record(void *recorder, struct mapcache_client *client, struct mapcache_request *request);
/* How many requests there were so far. Any thread. */
uint64_t rig_recorded(struct rig_recorder *recorder);

#endif
