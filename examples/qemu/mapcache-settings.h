/* SPDX-License-Identifier: MIT */
/*
 * A part of xen-mapcache.c: the environment variable XEN_MAPCACHE, and the limit on address space.
 *
 *	XEN_MAPCACHE=max-bytes=2G,reclaim-ms=100
 *
 * Names: max-bytes, max-stale-bytes, max-mappings, reclaim-ms, bucket-shift, granule-shift; each is
 * the option of struct mapcache_options. Numbers may end in K, M or G.
 */
#ifndef XEN_MAPCACHE_SETTINGS_H
#define XEN_MAPCACHE_SETTINGS_H

#include "qemu/osdep.h"

#include <sys/resource.h>

#include <mapcache/mapcache.h>

#define SETTINGS_MIB (UINT64_C(1) << 20)
#define SETTINGS_GIB (UINT64_C(1) << 30)
#define SETTINGS_USUAL_BYTES (32 * SETTINGS_GIB)
#define SETTINGS_LEAST_BYTES (64 * SETTINGS_MIB)

struct setting {
	const char *name;
	size_t offset, size; /* in struct mapcache_options */
};

#define SETTING(name, member)                                                                      \
	{                                                                                          \
		name, offsetof(struct mapcache_options, member),                                   \
			sizeof(((struct mapcache_options *)0)->member)                             \
	}

static const struct setting settings[] = {
	SETTING("max-bytes", max_bytes),       SETTING("max-stale-bytes", max_stale_bytes),
	SETTING("max-mappings", max_vmas),     SETTING("reclaim-ms", reclaim_ms),
	SETTING("bucket-shift", bucket_shift), SETTING("granule-shift", granule_shift),
};

static const struct setting *setting_find(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strlen(settings[i].name) == len && !strncmp(settings[i].name, word, len))
			return &settings[i];
	}
	return NULL;
}

static int setting_shift(char unit)
{
	switch (unit) {
	case 'K':
		return 10;
	case 'M':
		return 20;
	case 'G':
		return 30;
	default:
		return -1;
	}
}

/* Up to a comma or the end. */
static int setting_number(const char *text, uint64_t *value)
{
	char *end;
	int shift;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 0);
	shift = setting_shift(*end);
	if (errno || (shift > 0 && *value > UINT64_MAX >> shift))
		return -EINVAL;
	if (shift > 0) {
		*value <<= shift;
		end++;
	}
	return *end == '\0' || *end == ',' ? 0 : -EINVAL;
}

static int setting_set(struct mapcache_options *options, const char *word)
{
	size_t len = strcspn(word, "=,");
	const struct setting *setting = word[len] == '=' ? setting_find(word, len) : NULL;
	uint32_t narrow;
	uint64_t value;

	if (!setting || setting_number(word + len + 1, &value))
		return -EINVAL;
	narrow = (uint32_t)value;
	if (setting->size == sizeof(narrow) && value != narrow)
		return -EINVAL;
	memcpy((char *)options + setting->offset,
	       setting->size == sizeof(narrow) ? (void *)&narrow : (void *)&value, setting->size);
	return 0;
}

/* Of the text, or none when it is NULL. -EINVAL: the word that is not understood is in *wrong. */
static inline int settings_parse(const char *text, struct mapcache_options *options,
				 const char **wrong)
{
	while (text && *text) {
		if (setting_set(options, text)) {
			*wrong = text;
			return -EINVAL;
		}
		text += strcspn(text, ",");
		text += *text == ',';
	}
	return 0;
}

/* What this process uses of it by now. */
static uint64_t settings_address_space_used(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%llu", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Half of what is left is for the rest of QEMU, and for the library's table of the guest. */
static int settings_fit(struct mapcache_options *options, uint64_t limit)
{
	uint64_t used = settings_address_space_used();
	uint64_t room = limit > used ? (limit - used) / 2 : 0;

	if (room >= (options->max_bytes ? options->max_bytes : SETTINGS_USUAL_BYTES))
		return 0;
	if (room < SETTINGS_LEAST_BYTES)
		return -ENOMEM;
	options->max_bytes = room & ~(SETTINGS_MIB - 1);
	/* 8 bytes of address space a bucket of the guest. */
	if (room < 2 * SETTINGS_GIB && !options->guest_limit)
		options->guest_limit = UINT64_C(1) << 40;
	return 0;
}

/*
 * Lifts RLIMIT_AS as far as this process may, as QEMU's own map cache does, and lowers max_bytes
 * to what a limit that stays leaves room for. -ENOMEM: that is too little.
 */
static inline int settings_address_space(struct mapcache_options *options)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };

	if (!setrlimit(RLIMIT_AS, &limit) || getrlimit(RLIMIT_AS, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
	return limit.rlim_cur == RLIM_INFINITY ? 0 : settings_fit(options, limit.rlim_cur);
}

#endif
