/* SPDX-License-Identifier: MIT */
/* What the machine is doing. */
#ifndef SYSTEM_RUNSTATE_H
#define SYSTEM_RUNSTATE_H

#include "qemu/osdep.h"

typedef enum RunState { RUN_STATE_INMIGRATE, RUN_STATE_RUNNING } RunState;

bool runstate_check(RunState state);

typedef void VMChangeStateHandler(void *opaque, bool running, RunState state);
VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(VMChangeStateHandler *cb, void *opaque,
							  int priority);

#ifndef STAND_INS_OF_MY_OWN
/* It never changes. */
STAND_IN VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(VMChangeStateHandler *cb,
								   void *opaque, int priority)
{
	(void)cb;
	(void)opaque;
	(void)priority;
	return NULL;
}
#endif

#endif
