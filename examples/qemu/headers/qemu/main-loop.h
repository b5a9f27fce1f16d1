/* SPDX-License-Identifier: MIT */
/* Bottom halves: what the main loop calls when it comes round. */
#ifndef QEMU_MAIN_LOOP_H
#define QEMU_MAIN_LOOP_H

#include "qemu/osdep.h"

typedef void QEMUBHFunc(void *opaque);

QEMUBH *qemu_bh_new(QEMUBHFunc *cb, void *opaque);
void qemu_bh_schedule(QEMUBH *bh);

struct QEMUBH {
	QEMUBHFunc *cb;
	void *opaque;
};

#ifndef STAND_INS_OF_MY_OWN
STAND_IN QEMUBH *qemu_bh_new(QEMUBHFunc *cb, void *opaque)
{
	static QEMUBH only;

	only = (QEMUBH){ .cb = cb, .opaque = opaque };
	return &only;
}

/* It comes round at once. */
STAND_IN void qemu_bh_schedule(QEMUBH *bh)
{
	bh->cb(bh->opaque);
}
#endif

#endif
