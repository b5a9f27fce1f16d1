# SPDX-License-Identifier: MIT
#
# install and uninstall. DESTDIR is for packagers: it is put before every path, and nothing
# that is installed names it.

VERSION = $(shell sed -nE 's/^\#define MAPCACHE_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)$$/\2/p' \
	include/mapcache/mapcache.h | paste -sd.)

PUBLIC_HEADERS := $(sort $(wildcard include/mapcache/*.h))
MAN_PAGES := $(sort $(wildcard man/*.[1-9]))

# Device models to copy from, and the pages that a package carries.
DOCUMENTS := $(wildcard README.md CHANGELOG.md LICENSE \
	$(addprefix examples/,$(addsuffix .[ch],mmio/* virtio-blk/*)))

INSTALLED_HEADERS = $(PUBLIC_HEADERS:include/%=$(DESTDIR)$(INCLUDEDIR)/%)
INSTALLED_MAN_PAGES = $(foreach page,$(MAN_PAGES),\
	$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)))

.PHONY: install
install: $(LIBMAPCACHE)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(DESTDIR)$(INCLUDEDIR)/mapcache $(DESTDIR)$(LIBDIR)/pkgconfig
	$(Q)install -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(INCLUDEDIR)/mapcache/
	$(Q)install -m 644 $(LIBMAPCACHE) $(DESTDIR)$(LIBDIR)/
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		libmapcache.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libmapcache.pc
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libmapcache.pc
	$(Q)$(foreach page,$(INSTALLED_MAN_PAGES),\
		install -D -m 644 man/$(notdir $(page)) $(page) &&) true
	$(Q)$(foreach document,$(DOCUMENTS),\
		install -D -m 644 $(document) $(DESTDIR)$(DOCDIR)/$(document) &&) true
	$(Q)tools/man_aliases | while read -r alias page; do \
		ln -sf $$page $(DESTDIR)$(MANDIR)/$$alias; done

# Folders go where they are ours, or empty and not the system's.
.PHONY: uninstall
uninstall:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX))
	$(Q)tools/man_aliases | while read -r alias page; do \
		rm -f $(DESTDIR)$(MANDIR)/$$alias; done
	$(Q)rm -f $(INSTALLED_HEADERS) $(INSTALLED_MAN_PAGES) \
		$(DESTDIR)$(LIBDIR)/libmapcache.a $(DESTDIR)$(LIBDIR)/pkgconfig/libmapcache.pc
	$(Q)rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS))
	$(Q)rmdir $(DESTDIR)$(INCLUDEDIR)/mapcache \
		$(addprefix $(DESTDIR)$(DOCDIR)/examples/,mmio virtio-blk) \
		$(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR) 2>/dev/null || true
