# SPDX-License-Identifier: MIT
#
# install, install-tools and uninstall. DESTDIR is for packagers: it is put before every path, and nothing
# that is installed names it.

VERSION = $(shell tools/version)

PUBLIC_HEADERS := $(sort $(wildcard include/mapcache/*.h))
MAN_SECTIONS := 3 7
MAN_PAGES := $(sort $(wildcard $(addprefix man/*.,$(MAN_SECTIONS))))

# What tells other build systems where things are: made from NAME.in, here or in packaging/.
CONFIGURED := pkgconfig/libmapcache.pc pkgconfig/libmapcache-grants.pc pkgconfig/libxensim.pc cmake/mapcache/mapcacheConfig.cmake \
	cmake/mapcache/mapcacheConfigVersion.cmake
# Folders below PREFIX follow it, for pkg-config --define-prefix.
CONFIGURE = sed -e 's|@PREFIX@|$(PREFIX)|g; s|@VERSION@|$(VERSION)|g; s|@XENSIM_LDFLAGS@|$(XENSIM_LDFLAGS)|g' \
	-e 's|@PC_LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|g' \
	-e 's|@PC_INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|g' \
	-e "s|@LIBDIR_TO_INCLUDEDIR@|$$(realpath -m --relative-to='$(LIBDIR)' '$(INCLUDEDIR)')|g"

# Device models and layers to copy from, and the pages that a package carries, which lead to nothing
# that it does not have. WITHOUT=FILE... leaves some out.
DOCUMENTS := $(filter-out $(WITHOUT),$(wildcard README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs/*.md docs/*/*.svg docs/*/*.bt \
	tests/xensim/README.md tests/package/on_xensim.c packaging/libmapcache.wrap \
	$(addprefix examples/,$(addsuffix .[ch],mmio/* virtio-blk/* dropin/* qemu/* demu/*)) \
	$(addprefix examples/,qemu/README.md qemu/apply demu/README.md)))
DOCUMENT_FOLDERS := $(sort $(dir $(DOCUMENTS)))

INSTALLED_HEADERS = $(PUBLIC_HEADERS:include/%=$(DESTDIR)$(INCLUDEDIR)/%)
INSTALLED_MAN_PAGES = $(foreach page,$(MAN_PAGES),\
	$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)))

.PHONY: install
install: $(LIBMAPCACHE) $(LIBMAPCACHE_GRANTS) $(LIBXENSIM)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(DESTDIR)$(INCLUDEDIR)/mapcache \
		$(addprefix $(DESTDIR)$(LIBDIR)/,$(sort $(dir $(CONFIGURED))))
	$(Q)install -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(INCLUDEDIR)/mapcache/
	$(Q)install -m 644 tests/xensim/xensim.h $(DESTDIR)$(INCLUDEDIR)/
	$(Q)install -m 644 $(LIBMAPCACHE) $(LIBMAPCACHE_GRANTS) $(LIBXENSIM) $(DESTDIR)$(LIBDIR)/
	$(Q)$(foreach file,$(CONFIGURED),\
		$(CONFIGURE) $(wildcard $(addsuffix $(notdir $(file)).in,./ packaging/)) >$(DESTDIR)$(LIBDIR)/$(file) && \
		chmod 644 $(DESTDIR)$(LIBDIR)/$(file) &&) true
	$(Q)$(foreach page,$(INSTALLED_MAN_PAGES),\
		install -D -m 644 man/$(notdir $(page)) $(page) &&) true
	$(Q)tools/install_documents $(DESTDIR)$(DOCDIR) $(DOCUMENTS)
	$(Q)tools/man_aliases $(MAN_SECTIONS) | while read -r alias page; do \
		ln -sf $$page $(DESTDIR)$(MANDIR)/$$alias; done

# The benchmark, for the simulator and for a dom0; what shows a running device model's counters.
TOOLS := mapcache-bench mapcache-bench-xen mapcache-top
TOOL_FILES := $(B)/bench/mapcache-bench $(B)/bench/mapcache-bench-xen $(B)/examples/mapcache-top
INSTALLED_TOOLS = $(addprefix $(DESTDIR)$(BINDIR)/,$(TOOLS)) \
	$(patsubst %,$(DESTDIR)$(MANDIR)/man1/%.1,$(TOOLS))

.PHONY: install-tools
install-tools: $(TOOL_FILES)
	$(call say,INSTALL,$(DESTDIR)$(BINDIR))
	$(Q)install -d $(DESTDIR)$(BINDIR)
	$(Q)install -m 755 $(TOOL_FILES) $(DESTDIR)$(BINDIR)/
	$(Q)install -D -m 644 man/mapcache-bench.1 $(DESTDIR)$(MANDIR)/man1/mapcache-bench.1
	$(Q)install -D -m 644 man/mapcache-top.1 $(DESTDIR)$(MANDIR)/man1/mapcache-top.1
	$(Q)ln -sf mapcache-bench.1 $(DESTDIR)$(MANDIR)/man1/mapcache-bench-xen.1

# Folders go where they are ours, or empty and not the system's.
.PHONY: uninstall
uninstall:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX))
	$(Q)tools/man_aliases $(MAN_SECTIONS) | while read -r alias page; do \
		rm -f $(DESTDIR)$(MANDIR)/$$alias; done
	$(Q)rm -f $(INSTALLED_HEADERS) $(INSTALLED_MAN_PAGES) $(INSTALLED_TOOLS) \
		$(addprefix $(DESTDIR)$(LIBDIR)/,libmapcache.a libmapcache-grants.a libxensim.a $(CONFIGURED)) \
		$(DESTDIR)$(INCLUDEDIR)/xensim.h $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS))
	$(Q)rmdir $(DESTDIR)$(INCLUDEDIR)/mapcache $(DESTDIR)$(LIBDIR)/cmake/mapcache 2>/dev/null || true
	$(Q)cd $(DESTDIR)$(DOCDIR) 2>/dev/null && rmdir -p $(filter-out ./,$(DOCUMENT_FOLDERS)) 2>/dev/null || true
	$(Q)rmdir $(DESTDIR)$(DOCDIR) 2>/dev/null || true
