/* SPDX-License-Identifier: MIT */
/* What the machine is doing. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef SYSTEM_RUNSTATE_H
#define SYSTEM_RUNSTATE_H

#include <stdbool.h>

typedef enum RunState { RUN_STATE_INMIGRATE, RUN_STATE_RUNNING } RunState;

bool runstate_check(RunState state);

#endif
