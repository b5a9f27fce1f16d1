/* SPDX-License-Identifier: MIT */
/*
 * Machine memory: one memfd, and a buddy allocator over its pages. Every page counts its
 * references: one of its owner, one of each foreign mapping or access at work. It is free
 * again only when the last of them goes, so a page that a guest has given back stays as it is
 * for as long as a mapping shows it.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"

#define ORDER_MAX 18u
#define NONE UINT32_MAX
#define NOT_FREE 0xff
/* New memory holds anything; of that which nobody has had before, a domain's first is zero but
 * for this many pages, for want of time. */
#define FILLED_PAGES 512u

struct page {
	struct xensim_domain *domain;
	uint32_t references;     /* atomic */
	uint32_t next, previous; /* in a free list, when it heads a free block */
	uint8_t free_order;      /* of the free block it heads, or NOT_FREE */
	uint8_t kind;            /* enum page_kind */
	bool used;               /* somebody has had it */
};

static struct {
	int fd;
	char *address;
	struct page *pages;
	uint64_t count;
	pthread_mutex_t lock; /* the free lists */
	uint32_t list[ORDER_MAX + 1];
	uint64_t free;
} memory = { .fd = -1 };

static void list_push(uint32_t mfn, unsigned int order)
{
	struct page *page = &memory.pages[mfn];

	page->free_order = (uint8_t)order;
	page->previous = NONE;
	page->next = memory.list[order];
	if (page->next != NONE)
		memory.pages[page->next].previous = mfn;
	memory.list[order] = mfn;
}

static void list_remove(uint32_t mfn)
{
	struct page *page = &memory.pages[mfn];

	if (page->next != NONE)
		memory.pages[page->next].previous = page->previous;
	if (page->previous != NONE)
		memory.pages[page->previous].next = page->next;
	else
		memory.list[page->free_order] = page->next;
	page->free_order = NOT_FREE;
}

/* Cut the block at head down to the block of order that holds mfn. */
static void split_block(uint32_t head, unsigned int from, uint32_t mfn, unsigned int order)
{
	list_remove(head);
	while (from > order) {
		uint32_t middle = head + (1u << --from);

		if (mfn >= middle) {
			list_push(head, from);
			head = middle;
		} else {
			list_push(middle, from);
		}
	}
}

static bool take_at(uint64_t mfn, unsigned int order)
{
	unsigned int from;

	if (mfn >= memory.count || mfn & ((1u << order) - 1))
		return false;
	for (from = order; from <= ORDER_MAX; from++) {
		uint64_t head = mfn & ~((UINT64_C(1) << from) - 1);

		if (memory.pages[head].free_order == from) {
			split_block((uint32_t)head, from, (uint32_t)mfn, order);
			return true;
		}
	}
	return false;
}

static uint64_t take_any(unsigned int order)
{
	unsigned int from;

	for (from = order; from <= ORDER_MAX; from++) {
		uint32_t head = memory.list[from];

		if (head != NONE) {
			split_block(head, from, head, order);
			return head;
		}
	}
	return XENSIM_INVALID_MFN;
}

static void give_back_locked(uint64_t mfn, unsigned int order)
{
	memory.free += UINT64_C(1) << order;
	while (order < ORDER_MAX) {
		uint64_t buddy = mfn ^ (UINT64_C(1) << order);

		if (buddy >= memory.count || memory.pages[buddy].free_order != order)
			break;
		list_remove((uint32_t)buddy);
		mfn &= ~(UINT64_C(1) << order);
		order++;
	}
	list_push((uint32_t)mfn, order);
}

int memory_init(uint64_t pages)
{
	uint64_t mfn;
	unsigned int order;

	if (pages > UINT32_MAX - 1)
		return -EINVAL;
	pthread_mutex_init(&memory.lock, NULL);
	memory.count = pages;
	memory.free = 0;
	for (order = 0; order <= ORDER_MAX; order++)
		memory.list[order] = NONE;
	memory.fd = memfd_create("xensim", MFD_CLOEXEC);
	if (memory.fd < 0)
		return -errno;
	if (ftruncate(memory.fd, (off_t)(pages << PAGE_SHIFT)))
		goto fail;
	memory.address = __real_mmap(NULL, pages << PAGE_SHIFT, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_NORESERVE, memory.fd, 0);
	if (memory.address == MAP_FAILED)
		goto fail;
	memory.pages = calloc(pages, sizeof(*memory.pages));
	if (!memory.pages)
		goto fail_map;
	for (mfn = 0; mfn < pages; mfn++)
		memory.pages[mfn].free_order = NOT_FREE;
	/* From the top, so that the lowest block heads its list and guests grow upwards. */
	for (mfn = pages; mfn; mfn -= UINT64_C(1) << order) {
		order = (unsigned int)__builtin_ctzll(mfn);
		if (order > ORDER_MAX)
			order = ORDER_MAX;
		list_push((uint32_t)(mfn - (UINT64_C(1) << order)), order);
	}
	memory.free = pages;
	return 0;
fail_map:
	errno = ENOMEM;
	__real_munmap(memory.address, pages << PAGE_SHIFT);
fail:
	mfn = (uint64_t)errno;
	close(memory.fd);
	memory.fd = -1;
	return -(int)mfn;
}

void memory_exit(void)
{
	__real_munmap(memory.address, memory.count << PAGE_SHIFT);
	close(memory.fd);
	memory.fd = -1;
	free(memory.pages);
	memory.pages = NULL;
	pthread_mutex_destroy(&memory.lock);
}

int memory_fd(void)
{
	return memory.fd;
}

uint64_t memory_pages(void)
{
	return memory.count;
}

uint64_t memory_free_pages(void)
{
	uint64_t pages;

	pthread_mutex_lock(&memory.lock);
	pages = memory.free;
	pthread_mutex_unlock(&memory.lock);
	return pages;
}

void *memory_address(uint64_t mfn)
{
	return memory.address + (mfn << PAGE_SHIFT);
}

static void prepare_page(uint64_t mfn, struct xensim_domain *domain, enum page_kind kind)
{
	struct page *page = &memory.pages[mfn];

	page->domain = domain;
	page->kind = (uint8_t)kind;
	if (page->used || mfn < FILLED_PAGES || domain->created)
		memset(memory_address(mfn), kind == PAGE_XEN ? 0 : XENSIM_UNSCRUBBED, XENSIM_PAGE);
	page->used = true;
	/* Release: pairs with the acquire of page_try_get(). Who gets a reference sees the
	 * page as it is here. */
	store_release(&page->references, 1);
}

uint64_t page_alloc(struct xensim_domain *domain, unsigned int order, uint64_t hint,
		    enum page_kind kind)
{
	uint64_t pages = UINT64_C(1) << order;
	uint64_t mfn, i;

	pthread_mutex_lock(&memory.lock);
	mfn = take_at(hint, order) ? hint : take_any(order);
	if (mfn != XENSIM_INVALID_MFN)
		memory.free -= pages;
	pthread_mutex_unlock(&memory.lock);
	if (mfn == XENSIM_INVALID_MFN)
		return mfn;
	for (i = 0; i < pages; i++)
		prepare_page(mfn + i, domain, kind);
	add_relaxed(&domain->pages_live, pages);
	if (kind == PAGE_GUEST) {
		add_relaxed(&domain->pages_owned, pages);
		add_relaxed(&host.pages_owned, pages);
	} else {
		add_relaxed(&host.pages_xen, pages);
		add_relaxed(&domain->pages_xen, pages);
	}
	return mfn;
}

bool page_try_get(uint64_t mfn)
{
	struct page *page = &memory.pages[mfn];
	uint32_t count = load_relaxed(&page->references);

	do {
		if (!count)
			return false;
		/*
		 * Acquire: pairs with the release in page_put(). When the owner's reference has
		 * gone before ours came, its removal of the p2m entry is visible to us, and the
		 * caller's second look at the entry finds out.
		 */
	} while (!__atomic_compare_exchange_n(&page->references, &count, count + 1, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

void page_put(uint64_t mfn)
{
	struct page *page = &memory.pages[mfn];
	struct xensim_domain *domain = page->domain;

	/* Both: everybody's accesses to the page come before its next life. */
	if (__atomic_sub_fetch(&page->references, 1, __ATOMIC_ACQ_REL))
		return;
	if (page->kind == PAGE_XEN)
		sub_relaxed(&domain->pages_xen, 1);
	pthread_mutex_lock(&memory.lock);
	give_back_locked(mfn, 0);
	pthread_mutex_unlock(&memory.lock);
	domain_page_freed(domain);
}

bool page_is_guests(uint64_t mfn)
{
	return memory.pages[mfn].kind == PAGE_GUEST;
}

void page_release(uint64_t mfn)
{
	struct page *page = &memory.pages[mfn];

	if (page->kind == PAGE_GUEST) {
		sub_relaxed(&page->domain->pages_owned, 1);
		sub_relaxed(&host.pages_owned, 1);
	} else {
		sub_relaxed(&host.pages_xen, 1);
	}
	page_put(mfn);
}
