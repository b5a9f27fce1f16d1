# SPDX-License-Identifier: MIT
#
# The library, in which only mapcache_* is global.

LIBMAPCACHE_SOURCES := $(sort $(wildcard lib/*.c))

$(call objects,$(LIBMAPCACHE_SOURCES)): EXTRA_CFLAGS = -Wconversion -Wshadow

$(eval $(call joined_archive,$(LIBMAPCACHE),$(LIBMAPCACHE_SOURCES),mapcache_*))

# The same objects with their internal names, for tests of single parts.
$(eval $(call archive,$(LIBMAPCACHE_INTERNAL),$(LIBMAPCACHE_SOURCES)))
