# SPDX-License-Identifier: MIT
#
# The library. All objects are joined into one and every symbol but mapcache_* is made local,
# so that nothing of ours can clash with a name of the program that links it.

LIBMAPCACHE_SOURCES := $(sort $(wildcard lib/*.c))
LIBMAPCACHE_OBJECTS := $(call objects,$(LIBMAPCACHE_SOURCES))

$(LIBMAPCACHE_OBJECTS): EXTRA_CFLAGS = -Wconversion -Wshadow

$(B)/libmapcache.o: $(LIBMAPCACHE_OBJECTS)
	@mkdir -p $(@D)
	$(call say,JOIN,$@)
	$(Q)$(CC) $(filter -m%,$(CFLAGS)) -r -nostdlib -o $@ $(LIBMAPCACHE_OBJECTS)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='mapcache_*' $@

# D: no times and owners, so that the same sources give the same bytes.
$(LIBMAPCACHE): $(B)/libmapcache.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $<

# The same objects with their internal names, for tests of single parts.
$(eval $(call archive,$(LIBMAPCACHE_INTERNAL),$(LIBMAPCACHE_SOURCES)))
