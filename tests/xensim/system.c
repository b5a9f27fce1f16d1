/* SPDX-License-Identifier: MIT */
/*
 * What dom0's kernel tells of itself in files. A program that is linked without --wrap=fopen sees
 * those of the machine.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "private.h"

FILE *__real_fopen(const char *path, const char *mode) __attribute__((weak));
FILE *__wrap_fopen(const char *path, const char *mode);

#define SYSTEM_TEXT 256

/* XENFEAT_auto_translated_physmap and XENFEAT_dom0, or the latter alone. */
static bool translated(void)
{
	return host.options.arch == XENSIM_ARM || host.options.dom0_pages;
}

static FILE *show(char *text)
{
	size_t length = strlen(text);
	FILE *file = fmemopen(NULL, length + 1, "w+");

	if (!file)
		return NULL;
	fputs(text, file);
	rewind(file);
	return file;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	char text[SYSTEM_TEXT];

	if (host.running && host.options.no_sysfs &&
	    (!strncmp(path, "/sys/", 5) || !strcmp(path, "/proc/iomem"))) {
		errno = ENOENT;
		return NULL;
	}
	if (host.running && !strcmp(path, "/sys/hypervisor/properties/features")) {
		snprintf(text, sizeof(text), "%08x\n", translated() ? 0x2804u : 0x2800u);
		return show(text);
	}
	if (host.running && !strcmp(path, "/proc/iomem")) {
		snprintf(text, sizeof(text), "00000000-00000000 : System RAM\n%s",
			 host.options.dom0_pages ? "" : "00000000-00000000 : Xen scratch\n");
		return show(text);
	}
	if (host.running && host.options.dom0_pages && !strcmp(path, "/proc/meminfo")) {
		snprintf(text, sizeof(text), "MemTotal: 1 kB\nMemAvailable: %llu kB\n",
			 (unsigned long long)(host.options.dom0_pages -
					      load_relaxed(&host.dom0_pages_used)) *
				 4);
		return show(text);
	}
	return __real_fopen(path, mode);
}
