/* SPDX-License-Identifier: MIT */
/*
 * A guest that sends every kind of nonsense: each request is answered, and the handler sees
 * only those that it can compute with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <lib/ioreq/ioreq.h>
#include <tests/support/rig.h>

struct fixture {
	struct rig rig;
	struct rig_device device;
	struct rig_recorder recorder;
};

/* Which requests are sound, said again in the compiler's checked arithmetic. */
static bool range_is_sound(const struct ioreq *raw, uint64_t first, uint32_t count)
{
	uint64_t lowest, end;

	if (raw->df)
		return !__builtin_sub_overflow(first, (uint64_t)(count - 1) * raw->size, &lowest) &&
		       !__builtin_add_overflow(first, raw->size, &end);
	return !__builtin_add_overflow(first, (uint64_t)count * raw->size, &end);
}

static bool is_sound(const struct ioreq *raw)
{
	if (raw->size != 1 && raw->size != 2 && raw->size != 4 && raw->size != 8)
		return false;
	if (raw->count == 0 || (raw->count > 4096 && !raw->data_is_ptr))
		return false;
	if (raw->data_is_ptr && !range_is_sound(raw, raw->data, raw->count))
		return false;
	switch (raw->type) {
	case IOREQ_TYPE_PIO:
		return raw->size != 8 && raw->addr < 0x10000 && raw->addr + raw->size <= 0x10000;
	case IOREQ_TYPE_COPY:
		return range_is_sound(raw, raw->addr, raw->count);
	case IOREQ_TYPE_PCI_CONFIG:
		return (raw->addr & UINT32_MAX) + raw->size <= UINT64_C(0x100000000) &&
		       range_is_sound(raw, raw->addr, 1);
	default:
		return false;
	}
}

struct hostile {
	struct fixture *fixture;
	uint64_t sent, sound, wrong_answers, errors, handed_on_wrongly;
};

static void send_hostile(struct xensim_vcpu *vcpu, struct hostile *h, const struct ioreq *raw)
{
	uint64_t before = rig_recorded(&h->fixture->recorder), data = 0, items = 1;
	bool sound = is_sound(raw);

	/* As `rep stos`. */
	if (sound && !raw->data_is_ptr)
		items = raw->count;

	h->sent++;
	h->sound += sound;
	if (xensim_raw_request(vcpu, rig_device_id(&h->fixture->device), raw, &data))
		h->errors++;
	if (rig_recorded(&h->fixture->recorder) != before + (sound ? items : 0))
		h->handed_on_wrongly++;
	if (!sound && raw->dir == IOREQ_READ && data != UINT64_MAX)
		h->wrong_answers++;
}

static void hostile_addresses(struct xensim_vcpu *vcpu, struct hostile *h, struct ioreq raw)
{
	static const uint64_t edges[] = {
		0,
		7,
		0xfffd,
		0xffff,
		0x10000,
		0xfffffffd,
		0x8000000000000000,
		UINT64_MAX - 8,
		UINT64_MAX - 7,
		UINT64_MAX - 1,
		UINT64_MAX,
		UINT64_MAX - UINT64_C(8) * UINT32_MAX,
		UINT64_C(8) * (UINT32_MAX - UINT64_C(1)),
	};

	for (unsigned int i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
		raw.addr = edges[i];
		raw.data = 0x3000;
		send_hostile(vcpu, h, &raw);
		raw.addr = 0x3000;
		raw.data = edges[i];
		send_hostile(vcpu, h, &raw);
	}
}

static void hostile_program(struct xensim_vcpu *vcpu, void *data)
{
	static const uint8_t types[] = { 0, 1, 2, 3, 7, 9, 255 };
	static const uint32_t hostile_sizes[] = { 0, 1, 3, 4, 8, 255, UINT32_MAX };
	static const uint32_t counts[] = { 0, 1, 2, 4097, UINT32_MAX };
	struct ioreq raw = { 0 };

	for (unsigned int t = 0; t < sizeof(types); t++) {
		for (unsigned int s = 0; s < 7; s++) {
			for (unsigned int c = 0; c < 5 * 8; c++) {
				raw.type = types[t];
				raw.size = hostile_sizes[s];
				raw.count = counts[c % 5];
				raw.dir = c / 5 & 1;
				raw.data_is_ptr = c / 5 >> 1 & 1;
				raw.df = c / 5 >> 2 & 1;
				hostile_addresses(vcpu, data, raw);
			}
		}
	}
}

static void H_every_hostile_request_is_answered_and_only_sound_ones_are_handed_on(void **state)
{
	struct fixture fixture;
	struct hostile h = { .fixture = &fixture };

	(void)state;
	fixture.recorder = (struct rig_recorder)RIG_RECORDER;
	rig_start(&fixture.rig, NULL);
	rig_device_open(&fixture.device, &fixture.rig,
			&(struct rig_device_options){ .handler = rig_record,
						      .handler_data = &fixture.recorder });
	rig_device_serve(&fixture.device);
	rig_run(&fixture.rig, 0, hostile_program, &h);
	assert_int_equal(h.sent, 7 * 7 * 40 * 26);
	assert_true(h.sound > 1000 && h.sound < h.sent / 2);
	assert_int_equal(h.errors, 0);
	assert_int_equal(h.handed_on_wrongly, 0);
	assert_int_equal(h.wrong_answers, 0);
	rig_device_close(&fixture.device);
	rig_stop(&fixture.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			H_every_hostile_request_is_answered_and_only_sound_ones_are_handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
