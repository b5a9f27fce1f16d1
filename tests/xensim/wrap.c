/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of foreign mappings: mmap, munmap, mremap and mprotect as the program
 * calls them (linked with --wrap), and how a foreign mapping gets its memory.
 *
 * The rule of recent kernels: a foreign mapping is unmapped or replaced whole, or together
 * with others that are whole; anything else is EINVAL and changes nothing.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/mman.h>

#include "private.h"

void *__wrap_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t len, int prot, int flags, int fd, off64_t offset);
void *__real_mmap64(void *address, size_t len, int prot, int flags, int fd, off64_t offset);
int __wrap_munmap(void *address, size_t len);
void *__wrap_mremap(void *address, size_t old_len, size_t new_len, int flags, ...);
int __wrap_mprotect(void *address, size_t len, int prot);

static size_t whole_pages(size_t len)
{
	return (len + XENSIM_PAGE - 1) & ~(size_t)(XENSIM_PAGE - 1);
}

static size_t pages_of(const struct mapping *list)
{
	size_t pages = 0;

	for (; list; list = list->next)
		pages += list->pages;
	return pages;
}

/* Take the foreign mappings of a range that is about to go out of the registry. */
static int begin_release(void *address, size_t len, bool can_fail, struct mapping **list)
{
	int ret;

	*list = NULL;
	if (host.inherited)
		return 0;
	ret = mapping_detach((uintptr_t)address, whole_pages(len), list);
	if (ret || !*list)
		return ret;
	ret = can_fail ? fault_check(XENSIM_CALL_UNMAP) : 0;
	if (ret) {
		mapping_reattach(*list);
		return ret;
	}
	spend(cost_of_unmap(pages_of(*list)));
	return 0;
}

/* The addresses do not show the pages any more: only now their references may go. */
static void end_release(struct mapping *list)
{
	if (list)
		jitter();
	if (list && mapping_drop(list))
		add_relaxed(&host.unmap_calls, 1);
}

void *__wrap_mmap64(void *address, size_t len, int prot, int flags, int fd, off64_t offset)
{
	struct mapping *list;
	void *result;
	int ret;

	if (!(flags & MAP_FIXED) || (flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE)
		return __real_mmap64(address, len, prot, flags, fd, offset);
	ret = begin_release(address, len, true, &list);
	if (ret) {
		errno = -ret;
		return MAP_FAILED;
	}
	result = __real_mmap64(address, len, prot, flags, fd, offset);
	if (result == MAP_FAILED)
		mapping_reattach(list);
	else
		end_release(list);
	return result;
}

void *__wrap_mmap(void *address, size_t len, int prot, int flags, int fd, off_t offset)
{
	return __wrap_mmap64(address, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *address, size_t len)
{
	struct mapping *list;
	int ret = begin_release(address, len, true, &list);

	if (ret)
		return minus_errno(ret);
	ret = __real_munmap(address, len);
	if (ret)
		mapping_reattach(list);
	else
		end_release(list);
	return ret;
}

/* A foreign mapping neither grows nor moves. */
void *__wrap_mremap(void *address, size_t old_len, size_t new_len, int flags, ...)
{
	void *target = NULL;
	va_list arguments;

	if (flags & MREMAP_FIXED) {
		va_start(arguments, flags);
		target = va_arg(arguments, void *);
		va_end(arguments);
	}
	if (mapping_overlaps((uintptr_t)address, old_len ? old_len : 1) ||
	    (target && mapping_overlaps((uintptr_t)target, new_len))) {
		errno = EFAULT;
		return MAP_FAILED;
	}
	return target ? __real_mremap(address, old_len, new_len, flags, target)
		      : __real_mremap(address, old_len, new_len, flags);
}

/*
 * On an x86 PV dom0 the next access after an mprotect of foreign memory faults for ever. An
 * error is found sooner than that. On Arm whole mappings may be changed.
 */
int __wrap_mprotect(void *address, size_t len, int prot)
{
	if (mapping_overlaps((uintptr_t)address, len) &&
	    (host.options.arch == XENSIM_X86 ||
	     (!host.options.allow_split && !mapping_covered((uintptr_t)address, len)))) {
		add_relaxed(&host.splits_refused, 1);
		return minus_errno(-EINVAL);
	}
	return __real_mprotect(address, len, prot);
}

/* ---- foreign mappings -------------------------------------------------------------- */

/* How many pages from first on are neighbours in machine memory, or holes all. */
static size_t run_length(const struct mapping *mapping, size_t first)
{
	uint64_t mfn = mapping->mfn[first];
	size_t i = first + 1;

	if (mfn == XENSIM_INVALID_MFN)
		while (i < mapping->pages && mapping->mfn[i] == XENSIM_INVALID_MFN)
			i++;
	else
		while (i < mapping->pages && mapping->mfn[i] == mfn + (i - first))
			i++;
	return i - first;
}

/* A hole shows what lies past the end of machine memory: touching it is SIGBUS. */
static void *map_run(void *address, size_t pages, uint64_t mfn, int prot, int flags)
{
	bool hole = mfn == XENSIM_INVALID_MFN;
	uint64_t offset = (hole ? memory_pages() : mfn) << PAGE_SHIFT;

	if (hole)
		flags &= ~MAP_POPULATE;
	return __real_mmap(address, pages << PAGE_SHIFT, prot, MAP_SHARED | flags, memory_fd(),
			   (off_t)offset);
}

static int map_rest(char *base, const struct mapping *mapping, size_t first, int prot, int flags)
{
	while (first < mapping->pages) {
		size_t pages = run_length(mapping, first);

		if (map_run(base + (first << PAGE_SHIFT), pages, mapping->mfn[first], prot,
			    flags | MAP_FIXED) == MAP_FAILED)
			return -errno;
		first += pages;
	}
	return 0;
}

/* Put the pages' memory at an address (MAP_FIXED in flags) or anywhere. */
static int map_runs(struct mapping *mapping, void *address, int prot, int flags, bool *begun)
{
	size_t first = run_length(mapping, 0);
	size_t len = mapping->pages << PAGE_SHIFT;
	char *base;
	int ret;

	*begun = false;
	if (first == mapping->pages) {
		base = map_run(address, first, mapping->mfn[0], prot, flags);
		if (base == MAP_FAILED)
			return -errno;
		mapping->base = (uintptr_t)base;
		return 0;
	}
	base = address;
	if (!(flags & MAP_FIXED))
		base = __real_mmap(address, len, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	*begun = true;
	ret = map_rest(base, mapping, 0, prot, flags);
	if (ret && !(flags & MAP_FIXED))
		__real_munmap(base, len);
	mapping->base = (uintptr_t)base;
	return ret;
}

int foreign_fail(void *address, size_t pages)
{
	struct mapping *replaced;
	int ret;

	if ((uintptr_t)address & (XENSIM_PAGE - 1))
		return -EINVAL;
	ret = begin_release(address, pages << PAGE_SHIFT, false, &replaced);
	if (ret)
		return ret;
	__real_munmap(address, pages << PAGE_SHIFT);
	end_release(replaced);
	return 0;
}

int foreign_install(struct mapping *mapping, void *address, int prot, int flags)
{
	struct mapping *replaced = NULL;
	bool begun;
	int ret;

	flags &= ~(MAP_PRIVATE | MAP_SHARED);
	if (flags & MAP_FIXED) {
		if ((uintptr_t)address & (XENSIM_PAGE - 1))
			return -EINVAL;
		ret = begin_release(address, mapping->pages << PAGE_SHIFT, false, &replaced);
		if (ret)
			return ret;
	}
	if (!host.options.no_populate)
		flags |= MAP_POPULATE;
	ret = map_runs(mapping, address, prot, flags, &begun);
	if (!ret) {
		begun = true;
		ret = mapping_insert(mapping);
		if (ret && !(flags & MAP_FIXED))
			__real_munmap((void *)mapping->base, mapping->pages << PAGE_SHIFT);
	}
	/* The mmap has failed, and changed nothing. */
	if (ret && !begun) {
		mapping_reattach(replaced);
		return ret;
	}
	if (ret && flags & MAP_FIXED)
		__real_munmap(address, mapping->pages << PAGE_SHIFT);
	end_release(replaced);
	return ret;
}
