# SPDX-License-Identifier: MIT
#
# The checks of what is handed to others. Only for the plain build: nobody installs one with
# sanitizers.

ifeq ($(SAN)$(CROSS_COMPILE),)
CHECKS += $(addprefix tests/package/,runner.sh headers.sh symbols.sh compilers.sh cross.sh install.sh xensim.sh \
	cmake.sh meson.sh probes.sh interface.sh diagrams.sh reproducible.sh lto.sh deps.sh links.sh prose.sh check_man.sh)
CHECK_FILES += $(LIBMAPCACHE) $(LIBXENSIM) $(addprefix $(B)/bench/,mapcache-bench mapcache-bench-xen)
endif
