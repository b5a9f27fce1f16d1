/* SPDX-License-Identifier: MIT */
/* examples/mmio, whole and unchanged, serves a guest's registers and its DMA command. */
#define main example_main
#include <examples/mmio/mmio.c>
#undef main

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/gate.h>
#include <tests/xensim/xensim.h>

#define BASE UINT64_C(0xe0000000)
#define BUFFER UINT64_C(0xff800) /* across a bucket boundary */
#define PAGES 1024u

struct guest {
	struct xensim_domain *domain;
	uint32_t wrong; /* reads that were not as expected */
};

static void expect(struct guest *guest, struct xensim_vcpu *vcpu, uint32_t offset, uint64_t value)
{
	uint64_t found = 0;

	if (xensim_mmio_read(vcpu, BASE + offset, 4, &found) || found != value)
		guest->wrong++;
}

static void command(struct guest *guest, struct xensim_vcpu *vcpu, uint64_t gpa, uint32_t len,
		    uint32_t number)
{
	const uint32_t value[] = { (uint32_t)gpa, (uint32_t)(gpa >> 32), len, number };
	uint32_t i;

	for (i = 0; i < 4; i++)
		if (xensim_mmio_write(vcpu, BASE + 4 * (ADDRESS + i), 4, value[i]))
			guest->wrong++;
}

static void sum_up_fresh_memory(struct guest *guest, struct xensim_vcpu *vcpu, uint32_t round)
{
	uint64_t gfn = BUFFER >> 12;
	uint8_t bytes[4096];
	uint32_t sum = 0, i;

	for (i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 31 + round);
		sum += bytes[i];
	}
	if (xensim_store(vcpu, BUFFER, bytes, sizeof(bytes)))
		guest->wrong++;
	command(guest, vcpu, BUFFER, sizeof(bytes), 1);
	expect(guest, vcpu, 4 * STATUS, 0);
	expect(guest, vcpu, 4 * SUM, sum);
	if (xensim_decrease_reservation(vcpu, &gfn, 1, 0) != 1 ||
	    xensim_populate_physmap(vcpu, &gfn, 1, 0) != 1)
		guest->wrong++;
}

static void guest_program(struct xensim_vcpu *vcpu, void *data)
{
	struct guest *guest = data;
	uint64_t ones;
	uint32_t round;

	expect(guest, vcpu, 4 * ID, 0x6d636465);
	if (xensim_mmio_write(vcpu, BASE + 4 * SCRATCH, 4, 0x12345678))
		guest->wrong++;
	expect(guest, vcpu, 4 * SCRATCH, 0x12345678);
	for (round = 0; round < 50; round++)
		sum_up_fresh_memory(guest, vcpu, round);
	command(guest, vcpu, UINT64_C(1) << 35, 4096, 1);
	expect(guest, vcpu, 4 * STATUS, EFAULT);
	command(guest, vcpu, 0, LENGTH_MAX + 1, 1);
	expect(guest, vcpu, 4 * STATUS, EINVAL);
	command(guest, vcpu, UINT64_MAX, 2, 1);
	expect(guest, vcpu, 4 * STATUS, ERANGE);
	command(guest, vcpu, 0, 16, 2);
	expect(guest, vcpu, 4 * STATUS, ENOSYS);
	/* A register that is not there, and a width that is not allowed. */
	expect(guest, vcpu, 0x100, UINT32_MAX);
	if (xensim_mmio_read(vcpu, BASE, 8, &ones) || ones != UINT64_MAX)
		guest->wrong++;
}

/* The worker's map call stands still: the other vCPU's INVALIDATE does not wait for it. */
static struct gate gate = GATE;

static void long_command(struct xensim_vcpu *vcpu, void *data)
{
	struct guest *guest = data;

	command(guest, vcpu, 3 * UINT64_C(0x100000), 4096, 1);
	expect(guest, vcpu, 4 * STATUS, 0);
}

static void balloon(struct xensim_vcpu *vcpu, void *data)
{
	struct guest *guest = data;
	uint64_t gfn = 700;

	if (xensim_decrease_reservation(vcpu, &gfn, 1, 0) != 1 ||
	    xensim_populate_physmap(vcpu, &gfn, 1, 0) != 1)
		guest->wrong++;
	expect(guest, vcpu, 4 * SCRATCH, 0x12345678);
}

static void balloon_during_a_command(struct guest *guest)
{
	gate_close(&gate, 768, false);
	assert_int_equal(xensim_vcpu_start(guest->domain, 0, long_command, guest), 0);
	gate_wait(&gate, 1);
	assert_int_equal(xensim_vcpu_start(guest->domain, 1, balloon, guest), 0);
	assert_int_equal(xensim_vcpu_join(guest->domain, 1), 0);
	gate_open(&gate);
	assert_int_equal(xensim_vcpu_join(guest->domain, 0), 0);
}

struct example {
	char domid[16];
	int result;
};

static void *run_example(void *data)
{
	struct example *example = data;
	char base[] = "0xe0000000", vcpus[] = "0", name[] = "mmio";
	char *arguments[] = { name, example->domid, vcpus, base, NULL };

	example->result = example_main(4, arguments);
	return NULL;
}

/* The server is there once a read gives something else than all ones. */
static void wait_program(struct xensim_vcpu *vcpu, void *data)
{
	uint64_t value = 0;
	int tries;

	(void)data;
	for (tries = 0; tries < 5000 && (uint32_t)value != 0x6d636465; tries++) {
		if (xensim_mmio_read(vcpu, BASE, 4, &value))
			return;
		usleep(1000);
	}
}

static void registers_and_dma_work_while_the_guest_balloons(void **state)
{
	struct guest guest = { .wrong = 0 };
	struct example example;
	pthread_t thread;
	sigset_t set;

	(void)state;
	/* The example waits for the signal; no other thread may take it. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(xensim_start(NULL), 0);
	assert_int_equal(xensim_domain_create(2, 0, PAGES, &guest.domain), 0);
	snprintf(example.domid, sizeof(example.domid), "%u", xensim_domid(guest.domain));
	assert_int_equal(pthread_create(&thread, NULL, run_example, &example), 0);
	assert_int_equal(xensim_vcpu_start(guest.domain, 0, wait_program, NULL), 0);
	assert_int_equal(xensim_vcpu_join(guest.domain, 0), 0);
	assert_int_equal(xensim_vcpu_start(guest.domain, 1, guest_program, &guest), 0);
	assert_int_equal(xensim_vcpu_join(guest.domain, 1), 0);
	assert_int_equal(guest.wrong, 0);
	balloon_during_a_command(&guest);
	assert_int_equal(guest.wrong, 0);
	kill(getpid(), SIGTERM);
	pthread_join(thread, NULL);
	assert_int_equal(example.result, 0);
	assert_int_equal(xensim_protocol_errors(), 0);
	assert_int_equal(xensim_domain_destroy(guest.domain), 0);
	assert_int_equal(xensim_stop(stderr), 0);
}

static void bad_arguments_are_explained(void **state)
{
	char name[] = "mmio", number[] = "1", many[] = "129";
	char *few[] = { name, number, number, NULL };
	char *many_vcpus[] = { name, number, many, number, NULL };

	(void)state;
	assert_int_equal(example_main(3, few), 2);
	assert_int_equal(example_main(4, many_vcpus), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_and_dma_work_while_the_guest_balloons),
		cmocka_unit_test(bad_arguments_are_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
