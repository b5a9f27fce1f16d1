/* SPDX-License-Identifier: MIT */
/*
 * rep instructions with a port or the device on one side: Xen hands these on as requests
 * with data_is_ptr. Each returns the count that is left: 0.
 */
#include "tests/xen/guest/guest.h"

#define REP(instruction, backwards, ...)                                                           \
	do {                                                                                       \
		if (backwards)                                                                     \
			__asm__ volatile("std; rep " instruction "; cld" __VA_ARGS__);             \
		else                                                                               \
			__asm__ volatile("rep " instruction __VA_ARGS__);                          \
	} while (0)

#define OUTS : "+S"(address), "+c"(count) : "d"(port) : "memory", "cc"
#define INS : "+D"(address), "+c"(count) : "d"(port) : "memory", "cc"
#define STOS : "+D"(to), "+c"(count) : "a"(value) : "memory", "cc"
#define MOVS : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc"

uint32_t rep_outs(uint16_t port, uint32_t address, uint32_t count, uint32_t size,
		  uint32_t backwards)
{
	if (size == 1)
		REP("outsb", backwards, OUTS);
	else if (size == 2)
		REP("outsw", backwards, OUTS);
	else
		REP("outsl", backwards, OUTS);
	return count;
}

uint32_t rep_ins(uint16_t port, uint32_t address, uint32_t count, uint32_t size, uint32_t backwards)
{
	if (size == 1)
		REP("insb", backwards, INS);
	else if (size == 2)
		REP("insw", backwards, INS);
	else
		REP("insl", backwards, INS);
	return count;
}

uint32_t rep_movs(uint32_t to, uint32_t from, uint32_t count, uint32_t size, uint32_t backwards)
{
	if (size == 1)
		REP("movsb", backwards, MOVS);
	else if (size == 2)
		REP("movsw", backwards, MOVS);
	else
		REP("movsl", backwards, MOVS);
	return count;
}

uint32_t rep_stos(uint32_t to, uint32_t count, uint32_t size, uint32_t value, uint32_t backwards)
{
	if (size == 1)
		REP("stosb", backwards, STOS);
	else if (size == 2)
		REP("stosw", backwards, STOS);
	else
		REP("stosl", backwards, STOS);
	return count;
}

uint32_t access_port(uint16_t port, uint32_t size, uint32_t store, uint32_t value)
{
	if (size == 1 && store)
		__asm__ volatile("outb %b0, %1" : : "a"(value), "Nd"(port) : "memory");
	else if (size == 1)
		__asm__ volatile("inb %1, %b0" : "=a"(value) : "Nd"(port), "0"(0) : "memory");
	else if (size == 2 && store)
		__asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port) : "memory");
	else if (size == 2)
		__asm__ volatile("inw %1, %w0" : "=a"(value) : "Nd"(port), "0"(0) : "memory");
	else if (store)
		port_out(port, value);
	else
		return port_in(port);
	return store ? 0 : value;
}
