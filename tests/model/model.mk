# SPDX-License-Identifier: MIT
#
# Models of the protocols: tests/model/README.md.

CHECKS_MODEL := tests/model/check_spin.sh

# The shipped protocol code under a relaxed-memory checker. It runs threads of its own kind,
# which sanitizers do not know, and cares for no processor.
ifeq ($(SAN)$(CROSS_COMPILE),)
RELACY_MODELS := $(sort $(wildcard tests/model/relacy/*.cc))

$(B)/obj/tests/model/relacy/%.o: EXTRA_CFLAGS = -std=gnu++11 -O1

$(foreach model,$(RELACY_MODELS),$(eval $(call program,$(B)/$(basename $(model)),$(model),,-lstdc++)))

CHECKS_MODEL += $(addprefix $(B)/,$(basename $(RELACY_MODELS)))
endif

CHECKS += $(CHECKS_MODEL)

.PHONY: check-model
check-model: $(CHECKS_MODEL)
	$(Q)tests/run $(CHECKS_MODEL)
