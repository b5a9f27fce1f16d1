# SPDX-License-Identifier: MIT
#
# The library with every call that can fail renamed, so that a test stands between it and the
# system (calls.c); nothing else in the program is touched.

FAULT_CALLS := malloc calloc realloc strdup posix_memalign free mmap mmap64 munmap mprotect madvise syscall \
	pthread_create pthread_mutex_init pthread_mutex_destroy pthread_cond_init \
	pthread_cond_destroy pthread_condattr_init fopen open_memstream clock_gettime memfd_create \
	xenforeignmemory_open xenforeignmemory_map xenforeignmemory_map2 \
	xenforeignmemory_map_resource xendevicemodel_open xendevicemodel_create_ioreq_server \
	xendevicemodel_get_ioreq_server_info xendevicemodel_set_ioreq_server_state \
	xendevicemodel_map_io_range_to_ioreq_server \
	xendevicemodel_unmap_io_range_from_ioreq_server
LIBMAPCACHE_FAULT := $(B)/libmapcache-fault.a

$(LIBMAPCACHE_FAULT): $(LIBMAPCACHE_INTERNAL) tests/fault/fault.mk
	$(call say,RENAME,$@)
	$(Q)$(OBJCOPY) $(foreach call,$(FAULT_CALLS),--redefine-sym $(call)=fault_$(call)) $< $@

$(eval $(call program,$(B)/tests/fault/test_fault_calls,tests/fault/test_fault_calls.c \
	tests/fault/calls.c tests/fault/scenario.c,$(LIBMAPCACHE_FAULT) $(LIBXENSIM),\
	$(XENSIM_LDFLAGS) $(CMOCKA_LIBS) -lpthread))
$(eval $(call program,$(B)/tests/fault/test_fault_limits,tests/fault/test_fault_limits.c,\
	$(LIBMAPCACHE_INTERNAL) $(LIBXENSIM),$(XENSIM_LDFLAGS) $(CMOCKA_LIBS) -lpthread))

CHECKS_FAULT := $(B)/tests/fault/test_fault_calls $(B)/tests/fault/test_fault_limits
CHECKS += $(CHECKS_FAULT)

.PHONY: check-fault
check-fault: $(CHECKS_FAULT)
	@tests/run $(CHECKS_FAULT)
