# SPDX-License-Identifier: MIT
#
# libmapcache. `make help` lists the targets and variables.
#
# This file holds the rules that everything shares; what is built lies beside its sources in
# small *.mk files, included below. Everything built goes under $(B).

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

# ---- variables that a caller may set --------------------------------------------------

CROSS_COMPILE ?=
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin CXX),default)
CXX := $(CROSS_COMPILE)g++
endif
ifeq ($(origin AR),default)
AR := $(CROSS_COMPILE)ar
endif
OBJCOPY ?= $(CROSS_COMPILE)objcopy
NM ?= $(CROSS_COMPILE)nm

CFLAGS ?=
LDFLAGS ?=
SAN ?=
V ?=

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/libmapcache
DESTDIR ?=

# ---- the build directory: one for each kind of build, so that they never mix ----------
# B=DIR on the command line builds elsewhere.

comma := ,
empty :=
space := $(empty) $(empty)

B := build
ifneq ($(CROSS_COMPILE),)
B := $(B)/cross-$(patsubst %-,%,$(notdir $(CROSS_COMPILE)))
endif
ifneq ($(SAN),)
B := $(B)/san-$(subst $(comma),-,$(SAN))
endif

# ---- flags ----------------------------------------------------------------------------

ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
# gcc says that its ThreadSanitizer sees no fences; clang's does not either, and is silent.
ifeq ($(SAN)$(findstring clang,$(CC)),thread)
SAN_FLAGS += -Wno-tsan
endif
endif

# A cross compiler does not look into /usr/include, and must not: most of it is this machine's.
# These headers are everybody's.
ifneq ($(CROSS_COMPILE),)
CROSS_HEADERS := $(B)/headers
$(shell mkdir -p $(CROSS_HEADERS) && cd $(CROSS_HEADERS) && \
	ln -sf /usr/include/xen /usr/include/xen*.h /usr/include/ut*.h /usr/include/cmocka*.h .)
CROSS_FLAGS := -idirafter $(CROSS_HEADERS)
endif

# The prefix map keeps the place of the source tree out of the objects.
ALL_CFLAGS = -std=gnu11 -O2 -g -fPIC -pthread -Wall -Wextra -Werror \
	-ffile-prefix-map=$(CURDIR)=. -Iinclude -I. $(CROSS_FLAGS) $(SAN_FLAGS) $(CFLAGS)
ALL_CXXFLAGS = -std=gnu++17 -O2 -g -fPIC -pthread -Wall -Wextra -Werror \
	-ffile-prefix-map=$(CURDIR)=. -Iinclude -I. $(SAN_FLAGS) $(CXXFLAGS)
ALL_LDFLAGS = -pthread $(SAN_FLAGS) $(LDFLAGS)

# Flags for some objects only: set it for a pattern, e.g. $(B)/obj/lib/%.o: EXTRA_CFLAGS = ...
EXTRA_CFLAGS =

LIBMAPCACHE := $(B)/libmapcache.a
LIBMAPCACHE_GRANTS := $(B)/libmapcache-grants.a
LIBMAPCACHE_INTERNAL := $(B)/libmapcache-internal.a
LIBXENSIM := $(B)/libxensim.a
XENSIM_LDFLAGS :=
XEN_LIBS := -lxenforeignmemory -lxendevicemodel -lxentoolcore -lxentoollog
CMOCKA_LIBS := -lcmocka

# ---- how things are printed -----------------------------------------------------------

ifneq ($(filter-out 0,$(V)),)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s%s\n' $(1) $(2)
endif

# ---- how things are built -------------------------------------------------------------

# $(call objects,<sources>): the objects of C and C++ sources.
objects = $(addprefix $(B)/obj/,$(addsuffix .o,$(basename $(1))))

# Changes when the compiler or its flags do, or the header for probes is installed, so that
# everything is built again.
FLAGS_NOW := $(subst ','\'',$(CC) $(CXX) $(ALL_CFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) \
	$(wildcard /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h))
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_NOW)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_NOW)' >$@

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.cc $(B)/flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(ALL_CXXFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c -o $@ $<

# $(eval $(call archive,<output>,<sources>)): a static library. D: no times and owners, so that
# the same sources give the same bytes.
define archive
$(1): $(call objects,$(2))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $(call objects,$(2))
endef

# $(eval $(call joined_archive,<output>,<sources>,<patterns>)): a static library of one object,
# in which only the names that match a pattern are left global: nothing else of it can clash with
# a name of the program that links it. (Every object of 32-bit code brings the same __x86.* along,
# of which the linker keeps one for all: they must keep their names.)
define joined_archive
$(1:.a=.o): $(call objects,$(2))
	@mkdir -p $$(@D)
	$$(call say,JOIN,$$@)
	$$(Q)$$(CC) $$(filter -m%,$$(CFLAGS)) -r -nostdlib -o $$@ $(call objects,$(2))
	$$(Q)$$(OBJCOPY) --wildcard $(foreach pattern,$(3) __x86.*,--keep-global-symbol='$(pattern)') $$@

$(1): $(1:.a=.o)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $(1:.a=.o)
endef

# $(eval $(call program,<output>,<sources>,<static libraries>,<linker flags and -l>)): a
# program. The static libraries are built first and linked in that order.
define program
PROGRAMS += $(1)
$(1): $(call objects,$(2)) $(3) $(B)/flags
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $(call objects,$(2)) $(3) $(4)
endef

# What fragments add to (a cross build makes the library only: Debian has no Xen libraries of
# a foreign architecture to link programs with):
PROGRAMS :=    # every program (by the macro above)
CHECKS :=      # programs and scripts that `make check` runs
CHECK_FILES := # what those scripts need built first
UNIT_FILES :=  # the same for scripts in tests/unit
XEN_CHECKS :=  # programs and scripts for `make check-xen` that `make check` does not run
ALL :=         # what `make all` builds besides the library

FRAGMENTS := lib/lib.mk tests/xensim/xensim.mk tests/unit/unit.mk tests/torture/torture.mk \
	tests/fault/fault.mk tests/fuzz/fuzz.mk tests/model/model.mk tests/mutants/mutants.mk \
	tests/xen/xen.mk tests/conformance/conformance.mk tests/qemu/qemu.mk \
	tests/foreign/foreign.mk examples/examples.mk bench/bench.mk tests/package/package.mk
include $(wildcard $(FRAGMENTS))

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- targets --------------------------------------------------------------------------

# Packages come before anything is compiled, hence the second make.
SUBMAKE = $(MAKE) --no-print-directory
DEPS = $(Q)tools/deps

# For scripts among the checks.
export B CC CXX AR NM OBJCOPY CROSS_COMPILE SAN

.PHONY: all
all: $(LIBMAPCACHE) $(LIBMAPCACHE_GRANTS) $(if $(CROSS_COMPILE),,$(ALL))

.PHONY: programs
programs: $(PROGRAMS)

# For what: a group of tools/deps or several, by default what building the library takes.
FOR ?= build
.PHONY: deps
deps:
	$(DEPS) $(FOR)

.PHONY: demo
demo:
	$(DEPS) build demo
	+$(Q)$(SUBMAKE) run-demo

.PHONY: bench bench-quick
bench bench-quick:
	$(DEPS) build bench
	+$(Q)$(SUBMAKE) run-$@

UNIT_CHECKS = $(filter $(B)/tests/unit/% tests/unit/%,$(CHECKS))
ALL_XEN_CHECKS = $(XEN_CHECKS) $(filter $(B)/tests/xen/% tests/xen/%,$(CHECKS))

.PHONY: check check-unit check-xen
check:
	$(DEPS) build check xen
	+$(Q)$(SUBMAKE) run-check
check-unit:
	$(DEPS) build check
	+$(Q)$(SUBMAKE) run-check-unit
check-xen:
	$(DEPS) build check xen
	+$(Q)$(SUBMAKE) run-check-xen

.PHONY: run-check run-check-unit run-check-xen
run-check: $(CHECKS) $(CHECK_FILES) $(UNIT_FILES)
	@tests/run $(CHECKS)
run-check-unit: $(UNIT_CHECKS) $(UNIT_FILES)
	@tests/run $(UNIT_CHECKS)
.PHONY: has-xen-checks
has-xen-checks:
	@echo $(if $(strip $(XEN_CHECKS)),yes,no)
run-check-xen: $(ALL_XEN_CHECKS) $(CHECK_FILES)
	@tests/run $(ALL_XEN_CHECKS)

include tools/quality.mk tools/install.mk

.PHONY: clean
clean:
	$(call say,CLEAN,build)
	$(Q)rm -rf build

.PHONY: help
help:
	@cat tools/help.txt

.PHONY: FORCE
FORCE:
