/* SPDX-License-Identifier: MIT */
#include "lib/space/ballast.h"

#include <stddef.h>
#include <sys/mman.h>

#define BALLAST_BYTES 4096

/* Shared: the kernel merges private ones with their neighbours. */
static void *ballast_map(void)
{
	void *page = mmap(NULL, BALLAST_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

bool ballast_room(void)
{
	void *page = ballast_map();

	return page && munmap(page, BALLAST_BYTES) == 0;
}

static bool ballast_page(struct ballast *ballast, int i)
{
	void *missing = NULL, *page = ballast_map();

	if (page && !__atomic_compare_exchange_n(&ballast->page[i], &missing, page, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		munmap(page, BALLAST_BYTES);
	return page != NULL;
}

bool ballast_take(struct ballast *ballast)
{
	for (int i = 0; i < BALLAST_PAGES; i++) {
		if (!__atomic_load_n(&ballast->page[i], __ATOMIC_RELAXED) &&
		    !ballast_page(ballast, i))
			return false;
	}
	return true;
}

bool ballast_drop(struct ballast *ballast, unsigned int pages)
{
	unsigned int dropped = 0;

	for (int i = 0; i < BALLAST_PAGES && dropped < pages; i++) {
		void *page = __atomic_exchange_n(&ballast->page[i], NULL, __ATOMIC_RELAXED);

		dropped += page && munmap(page, BALLAST_BYTES) == 0;
	}
	return dropped > 0;
}
