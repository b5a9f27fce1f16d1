/* SPDX-License-Identifier: MIT */
#include "lib/space/ballast.h"

#include <stddef.h>
#include <sys/mman.h>

#define BALLAST_BYTES 4096

void ballast_take(struct ballast *ballast)
{
	void *missing = NULL, *page;

	if (__atomic_load_n(&ballast->page, __ATOMIC_RELAXED))
		return;
	/* Shared: the kernel merges private ones with their neighbours. */
	page = mmap(NULL, BALLAST_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	if (!__atomic_compare_exchange_n(&ballast->page, &missing, page, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		munmap(page, BALLAST_BYTES);
}

bool ballast_drop(struct ballast *ballast)
{
	void *page = __atomic_exchange_n(&ballast->page, NULL, __ATOMIC_RELAXED);

	return page && munmap(page, BALLAST_BYTES) == 0;
}
