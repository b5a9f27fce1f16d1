/* SPDX-License-Identifier: MIT */
/*
 * The functions that fault.mk puts in the place of those that the library calls. What undoes
 * something (free, munmap, closing a handle) is not made to fail: there would be no way back.
 */
#define _GNU_SOURCE
#define __XEN_TOOLS__ 1

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include <tests/fault/calls.h>

#define SITES_MAX 512u

static struct {
	uint64_t count, nth;
	uint64_t steps; /* ms, one at each reading of the clock; 0: time is real */
	const char *failed;
	const void *sites[SITES_MAX];
	unsigned int site_count;
	pthread_mutex_t lock; /* protects the sites */
	struct calls_books books;
} calls = { .lock = PTHREAD_MUTEX_INITIALIZER };

void calls_start(uint64_t nth)
{
	__atomic_store_n(&calls.nth, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&calls.failed, NULL, __ATOMIC_SEQ_CST);
	__atomic_store_n(&calls.count, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&calls.nth, nth, __ATOMIC_SEQ_CST);
}

uint64_t calls_counted(void)
{
	return __atomic_load_n(&calls.count, __ATOMIC_SEQ_CST);
}

const char *calls_failed_name(void)
{
	return __atomic_load_n(&calls.failed, __ATOMIC_SEQ_CST);
}

bool calls_failed(void)
{
	return calls_failed_name() != NULL;
}

static void note_site(const void *site)
{
	unsigned int i = 0;

	pthread_mutex_lock(&calls.lock);
	while (i < calls.site_count && calls.sites[i] != site)
		i++;
	if (i == calls.site_count && i < SITES_MAX)
		calls.sites[calls.site_count++] = site;
	pthread_mutex_unlock(&calls.lock);
}

unsigned int calls_sites(void)
{
	unsigned int count;

	pthread_mutex_lock(&calls.lock);
	count = calls.site_count;
	pthread_mutex_unlock(&calls.lock);
	return count;
}

static bool fails(const char *name, const void *site)
{
	uint64_t count = __atomic_add_fetch(&calls.count, 1, __ATOMIC_SEQ_CST);

	note_site(site);
	if (count != __atomic_load_n(&calls.nth, __ATOMIC_SEQ_CST))
		return false;
	__atomic_store_n(&calls.failed, name, __ATOMIC_SEQ_CST);
	return true;
}

struct calls_books calls_books(void)
{
	return (struct calls_books){
		.memory = __atomic_load_n(&calls.books.memory, __ATOMIC_SEQ_CST),
		.bytes = __atomic_load_n(&calls.books.bytes, __ATOMIC_SEQ_CST),
		.locks = __atomic_load_n(&calls.books.locks, __ATOMIC_SEQ_CST),
	};
}

static void enter(int64_t *account, int64_t amount)
{
	__atomic_fetch_add(account, amount, __ATOMIC_SEQ_CST);
}

#define FAILS() fails(__func__ + sizeof("fault"), __builtin_return_address(0))

/* Nothing but the renamed library calls these. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static void *entered(void *memory)
{
	if (memory)
		enter(&calls.books.memory, 1);
	return memory;
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static int minus_one(int error)
{
	errno = error;
	return -1;
}

/* ---- memory -------------------------------------------------------------------------------- */

void *fault_malloc(size_t size)
{
	return FAILS() ? no_memory() : entered(malloc(size));
}

void *fault_calloc(size_t count, size_t size)
{
	return FAILS() ? no_memory() : entered(calloc(count, size));
}

void *fault_realloc(void *memory, size_t size)
{
	if (FAILS())
		return no_memory();
	return memory ? realloc(memory, size) : entered(realloc(NULL, size));
}

char *fault_strdup(const char *text)
{
	return FAILS() ? no_memory() : entered(strdup(text));
}

int fault_posix_memalign(void **memory, size_t alignment, size_t size)
{
	int error = FAILS() ? ENOMEM : posix_memalign(memory, alignment, size);

	if (!error)
		enter(&calls.books.memory, 1);
	return error;
}

void fault_free(void *memory)
{
	if (memory)
		enter(&calls.books.memory, -1);
	free(memory);
}

void *fault_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *mapped;

	if (FAILS()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapped = mmap(address, len, prot, flags, fd, offset);
	if (mapped != MAP_FAILED && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		enter(&calls.books.bytes, (int64_t)len);
	return mapped;
}

/* The same by another name: of files that ask for offsets of 64 bits. */
void *fault_mmap64(void *address, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fault_mmap(address, len, prot, flags, fd, offset);
}

int fault_memfd_create(const char *name, unsigned int flags)
{
	return FAILS() ? minus_one(EMFILE) : memfd_create(name, flags);
}

int fault_munmap(void *address, size_t len)
{
	int error = munmap(address, len);

	if (!error)
		enter(&calls.books.bytes, -(int64_t)len);
	return error;
}

int fault_mprotect(void *address, size_t len, int prot)
{
	return FAILS() ? minus_one(ENOMEM) : mprotect(address, len, prot);
}

int fault_madvise(void *address, size_t len, int advice)
{
	return FAILS() ? minus_one(EINVAL) : madvise(address, len, advice);
}

FILE *fault_fopen(const char *path, const char *mode)
{
	if (FAILS()) {
		errno = EMFILE;
		return NULL;
	}
	return fopen(path, mode);
}

/* Its text is the library's to free. */
FILE *fault_open_memstream(char **text, size_t *size)
{
	return FAILS() ? no_memory() : entered(open_memstream(text, size));
}

/*
 * It does not fail. What the library maps follows from how long its map calls take: here each
 * takes the same, on a busy machine as well, so that its calls are the same each time. A thread
 * that sleeps until some time wants the real one.
 */
int fault_clock_gettime(clockid_t clock, struct timespec *time)
{
	uint64_t ms;

	if (!calls.steps)
		return clock_gettime(clock, time);
	ms = ++calls.steps;
	time->tv_sec = (time_t)(ms / 1000);
	time->tv_nsec = (long)(ms % 1000 * 1000000);
	return 0;
}

void calls_step_time(bool steps)
{
	calls.steps = steps ? 100000 : 0;
}

/* ---- threads ------------------------------------------------------------------------------- */

/* membarrier(2) is the only one that the library makes by number. */
long fault_syscall(long number, ...)
{
	va_list arguments;
	int command, flags, cpu;

	if (FAILS())
		return minus_one(EPERM);
	va_start(arguments, number);
	command = va_arg(arguments, int);
	flags = va_arg(arguments, int);
	cpu = va_arg(arguments, int);
	va_end(arguments);
	return syscall(number, command, flags, cpu);
}

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			 void *data)
{
	return FAILS() ? EAGAIN : pthread_create(thread, attributes, run, data);
}

int fault_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	int error = FAILS() ? ENOMEM : pthread_mutex_init(mutex, attributes);

	if (!error)
		enter(&calls.books.locks, 1);
	return error;
}

int fault_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	enter(&calls.books.locks, -1);
	return pthread_mutex_destroy(mutex);
}

int fault_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
	int error = FAILS() ? EAGAIN : pthread_cond_init(condition, attributes);

	if (!error)
		enter(&calls.books.locks, 1);
	return error;
}

int fault_pthread_cond_destroy(pthread_cond_t *condition)
{
	enter(&calls.books.locks, -1);
	return pthread_cond_destroy(condition);
}

int fault_pthread_condattr_init(pthread_condattr_t *attributes)
{
	return FAILS() ? ENOMEM : pthread_condattr_init(attributes);
}

/* ---- Xen's libraries ----------------------------------------------------------------------- */

xenforeignmemory_handle *fault_xenforeignmemory_open(struct xentoollog_logger *logger,
						     unsigned int flags)
{
	if (FAILS()) {
		errno = EACCES;
		return NULL;
	}
	return xenforeignmemory_open(logger, flags);
}

void *fault_xenforeignmemory_map2(xenforeignmemory_handle *memory, uint32_t domid, void *address,
				  int prot, int flags, size_t pages, const xen_pfn_t *frames,
				  int *error)
{
	if (FAILS()) {
		/* As the library does when the kernel has refused. */
		if (flags & MAP_FIXED)
			(void)munmap(address, pages * 4096);
		errno = EIO;
		return NULL;
	}
	return xenforeignmemory_map2(memory, domid, address, prot, flags, pages, frames, error);
}

void *fault_xenforeignmemory_map(xenforeignmemory_handle *memory, uint32_t domid, int prot,
				 size_t pages, const xen_pfn_t *frames, int *error)
{
	if (FAILS()) {
		errno = EIO;
		return NULL;
	}
	return xenforeignmemory_map(memory, domid, prot, pages, frames, error);
}

xenforeignmemory_resource_handle *
fault_xenforeignmemory_map_resource(xenforeignmemory_handle *memory, domid_t domid,
				    unsigned int type, unsigned int id, unsigned long frame,
				    unsigned long frames, void **address, int prot, int flags)
{
	if (FAILS()) {
		errno = EIO;
		return NULL;
	}
	return xenforeignmemory_map_resource(memory, domid, type, id, frame, frames, address, prot,
					     flags);
}

xendevicemodel_handle *fault_xendevicemodel_open(struct xentoollog_logger *logger,
						 unsigned int flags)
{
	if (FAILS()) {
		errno = EACCES;
		return NULL;
	}
	return xendevicemodel_open(logger, flags);
}

int fault_xendevicemodel_create_ioreq_server(xendevicemodel_handle *model, domid_t domid,
					     int buffered, ioservid_t *id)
{
	return FAILS() ? minus_one(EIO)
		       : xendevicemodel_create_ioreq_server(model, domid, buffered, id);
}

int fault_xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *model, domid_t domid,
					       ioservid_t id, xen_pfn_t *ioreq, xen_pfn_t *buffered,
					       evtchn_port_t *port)
{
	return FAILS() ? minus_one(EIO)
		       : xendevicemodel_get_ioreq_server_info(model, domid, id, ioreq, buffered,
							      port);
}

int fault_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *model, domid_t domid,
						ioservid_t id, int enabled)
{
	if (enabled && FAILS())
		return minus_one(EIO);
	return xendevicemodel_set_ioreq_server_state(model, domid, id, enabled);
}

int fault_xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *model, domid_t domid,
						      ioservid_t id, int memory, uint64_t start,
						      uint64_t end)
{
	return FAILS() ? minus_one(EIO)
		       : xendevicemodel_map_io_range_to_ioreq_server(model, domid, id, memory,
								     start, end);
}

int fault_xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *model,
							  domid_t domid, ioservid_t id, int memory,
							  uint64_t start, uint64_t end)
{
	return FAILS() ? minus_one(EIO)
		       : xendevicemodel_unmap_io_range_from_ioreq_server(model, domid, id, memory,
									 start, end);
}
