# SPDX-License-Identifier: MIT
#
# The library, in which only mapcache_* is global.

LIBMAPCACHE_GRANTS_SOURCES := lib/xen/backend_grants.c
LIBMAPCACHE_SOURCES := $(filter-out $(LIBMAPCACHE_GRANTS_SOURCES),$(sort $(wildcard lib/*/*.c)))

$(call objects,$(LIBMAPCACHE_SOURCES)): EXTRA_CFLAGS += -Wconversion -Wshadow

# _.stapsdt.base is every object's with static probes: the linker keeps one for all, and a local
# one would be lost where the program has probes of its own.
$(eval $(call joined_archive,$(LIBMAPCACHE),$(LIBMAPCACHE_SOURCES),mapcache_* _.stapsdt.base))

# The backend that needs another of Xen's libraries.
$(call objects,$(LIBMAPCACHE_GRANTS_SOURCES)): EXTRA_CFLAGS += -Wconversion -Wshadow

$(eval $(call joined_archive,$(LIBMAPCACHE_GRANTS),$(LIBMAPCACHE_GRANTS_SOURCES),mapcache_*))

# The same objects with their internal names, for tests of single parts.
$(eval $(call archive,$(LIBMAPCACHE_INTERNAL),$(LIBMAPCACHE_SOURCES)))
