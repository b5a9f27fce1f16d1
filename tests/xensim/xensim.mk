# SPDX-License-Identifier: MIT
# The simulated Xen: $(LIBXENSIM), its linker flags, its own test.

XENSIM_LDFLAGS := -Wl,--wrap=mmap,--wrap=mmap64,--wrap=munmap,--wrap=mremap,--wrap=mprotect,--wrap=fopen

XENSIM_SOURCES := $(filter-out tests/xensim/test_%.c,$(wildcard tests/xensim/*.c))

$(call objects,$(XENSIM_SOURCES)): EXTRA_CFLAGS += -fno-lto
$(call objects,$(XENSIM_SOURCES)): | $(B)/needs

$(eval $(call joined_archive,$(LIBXENSIM),$(XENSIM_SOURCES),xen* __wrap_*))

# The facts that it stands for, each a test.
XENSIM_TESTS := $(wildcard tests/xensim/test_*.c)
CHECKS += $(B)/tests/xensim/test_xensim

$(eval $(call program,$(B)/tests/xensim/test_xensim,$(XENSIM_TESTS),$(LIBXENSIM),\
	$(XENSIM_LDFLAGS) $(CMOCKA_LIBS) -lpthread))
