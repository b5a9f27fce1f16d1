/* SPDX-License-Identifier: MIT */
/* Measurements on a real Xen: what they share. */
#ifndef XEN_FIGURES_H
#define XEN_FIGURES_H

#include <stdint.h>

#include "tests/xen/domain.h"
#include "tests/xen/protocol.h"

/* The memory that is mapped: 64 MiB, aligned to the largest bucket. */
#define FIGURES_BASE (GUEST_RAM + UINT64_C(0x400000))
#define FIGURES_MIB 64u
#define FIGURES_PAGES (1024u + FIGURES_MIB * 256u)

/* Rounds of each measurement; medians are over them. */
unsigned int figures_rounds(void);

/* Keep a figure for the lines at the end: FIGURE name value. */
void figures_keep(const char *name, double value);

/* ns of a map of one page, now. */
double figures_one_page(const struct domain *domain);

/* What mapping costs, the library's misses and refreshes, its answers, its settings, and its
 * policies of refreshing. */
void figures_map(const struct domain *domain);
void figures_refresh(const struct domain *domain);
void figures_answer(void);
void figures_settings(const struct domain *domain);
void figures_policies(const struct domain *domain);

#endif
