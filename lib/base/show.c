/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "lib/base/base.h"

void show_begin(struct show *show, const char *name, uint64_t value)
{
	if (show->json)
		fprintf(show->file, "%s\n    {\"%s\": \"%#" PRIx64 "\"", show->between, name,
			value);
	else
		fprintf(show->file, "%s %#" PRIx64, show->kind, value);
	show->between = ",";
}

/* Numbers past 2^53 are not safe with every reader: those that can be are strings. */
void show_hex(struct show *show, const char *name, uint64_t value)
{
	fprintf(show->file, show->json ? ", \"%s\": \"%#" PRIx64 "\"" : " %s %#" PRIx64, name,
		value);
}

void show_number(struct show *show, const char *name, uint64_t value)
{
	fprintf(show->file, show->json ? ", \"%s\": %" PRIu64 : " %s %" PRIu64, name, value);
}

void show_flag(struct show *show, const char *name, bool value)
{
	if (show->json)
		fprintf(show->file, ", \"%s\": %s", name, value ? "true" : "false");
	else if (value)
		fprintf(show->file, " %s", name);
}

void show_end(struct show *show)
{
	fputs(show->json ? "}" : "\n", show->file);
}
