# SPDX-License-Identifier: MIT
#
# Facts about Xen: the same looks on xensim and, in tests/xen, in a real dom0; and the page that
# tells them.

CONFORMANCE_LOOKS := $(addprefix tests/conformance/,rig.c facts.c facts_map.c facts_invalidate.c \
	facts_servers.c facts_requests.c facts_domain.c facts_kernel.c main.c)

# The values of toolstack interfaces.
$(B)/obj/tests/conformance/%.o: EXTRA_CFLAGS = -D__XEN_TOOLS__=1

ifeq ($(CROSS_COMPILE),)
$(eval $(call program,$(B)/tests/conformance/facts,$(CONFORMANCE_LOOKS) \
	tests/conformance/platform_xensim.c,$(LIBXENSIM),$(XENSIM_LDFLAGS) -lpthread))

$(eval $(call program,$(B)/tests/conformance/sequence,$(addprefix tests/conformance/,\
	sequence.c sequence_main.c rig.c platform_xensim.c),$(LIBXENSIM),$(XENSIM_LDFLAGS) -lpthread))

CHECKS += $(B)/tests/conformance/facts $(addprefix tests/conformance/,check_docs.sh check_sequences.sh)
CHECK_FILES += $(B)/tests/conformance/sequence

.PHONY: facts
facts: $(B)/tests/conformance/facts
	$(Q)$< --table >docs/facts.md
endif

ifneq ($(XEN_ARCH),)
CONFORMANCE_XEN := tests/conformance/platform_xen.c \
	$(addprefix tests/xen/,test.c domain.c $(XEN_ARCH)/arch.c)

$(eval $(call program,$(B)/xen/facts,$(CONFORMANCE_LOOKS) $(CONFORMANCE_XEN),,$(XEN_STATIC_LIBS)))

# Random sequences: on that Xen, and beside it in the same dom0 on xensim.
$(eval $(call program,$(B)/xen/random,$(addprefix tests/conformance/,random.c sequence.c rig.c) \
	$(CONFORMANCE_XEN),,$(XEN_STATIC_LIBS)))
$(eval $(call program,$(B)/xen/sequence,$(addprefix tests/conformance/,sequence.c sequence_main.c \
	rig.c platform_xensim.c),$(LIBXENSIM),-static $(XENSIM_LDFLAGS) -lpthread))

CONFORMANCE_XEN_FILES := $(addprefix $(B)/xen/,facts random sequence)
xen-files: $(CONFORMANCE_XEN_FILES)
ifeq ($(XEN_ARCH),x86)
CHECK_FILES += $(CONFORMANCE_XEN_FILES)

# The long form.
XEN_SEQUENCES ?= 1000
.PHONY: check-random
check-random: xen-files
	@XEN_SEQUENCES=$(XEN_SEQUENCES) XEN_SECONDS=7200 tests/xen/check random
endif
endif
