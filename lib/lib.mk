# SPDX-License-Identifier: MIT
#
# The library, in which only mapcache_* is global.

LIBMAPCACHE_GRANTS_SOURCES := lib/xen/backend_grants.c
LIBMAPCACHE_SOURCES := $(filter-out $(LIBMAPCACHE_GRANTS_SOURCES),$(sort $(wildcard lib/*/*.c)))

# What is missing is named once, before anything is compiled.
$(B)/needs: $(B)/flags tools/needs
	$(Q)tools/needs $(CC) $(ALL_CFLAGS)
	@touch $@

# Not by link-time optimization: names could not be made local in what is no machine code yet.
$(call objects,$(LIBMAPCACHE_SOURCES) $(LIBMAPCACHE_GRANTS_SOURCES)): EXTRA_CFLAGS += -Wconversion -Wshadow -fno-lto
$(call objects,$(LIBMAPCACHE_SOURCES) $(LIBMAPCACHE_GRANTS_SOURCES)): | $(B)/needs

# _.stapsdt.base is every object's with static probes: the linker keeps one for all, and a local
# one would be lost where the program has probes of its own.
$(eval $(call joined_archive,$(LIBMAPCACHE),$(LIBMAPCACHE_SOURCES),mapcache_* _.stapsdt.base))

# The backend that needs another of Xen's libraries.
$(eval $(call joined_archive,$(LIBMAPCACHE_GRANTS),$(LIBMAPCACHE_GRANTS_SOURCES),mapcache_*))

# The same objects with their internal names, for tests of single parts.
$(eval $(call archive,$(LIBMAPCACHE_INTERNAL),$(LIBMAPCACHE_SOURCES)))
