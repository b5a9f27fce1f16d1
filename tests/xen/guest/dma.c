/* SPDX-License-Identifier: MIT */
/* Transfers by the test device: a descriptor in memory, one write to its register. */
#include "tests/xen/guest/guest.h"

static volatile struct dma_descriptor descriptors[GUEST_VCPUS];

uint32_t dma(uint32_t vcpu, uint32_t operation, uint32_t way, uint32_t address, uint32_t length,
	     uint32_t seed)
{
	volatile struct dma_descriptor *descriptor = &descriptors[vcpu];

	descriptor->operation = operation;
	descriptor->way = way;
	descriptor->address = address;
	descriptor->length = length;
	descriptor->seed = seed;
	descriptor->result = DMA_PENDING;
	barrier();
	*word_at(DEVICE_DMA) = (uint32_t)(uintptr_t)descriptor;
	barrier();
	return descriptor->result;
}
