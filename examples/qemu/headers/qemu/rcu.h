/* SPDX-License-Identifier: MIT */
/* Calling back after a grace period. */
#ifndef QEMU_RCU_H
#define QEMU_RCU_H

#include "qemu/osdep.h"

struct rcu_head;
typedef void RCUCBFunc(struct rcu_head *head);

struct rcu_head {
	struct rcu_head *next;
	RCUCBFunc *func;
};

void call_rcu1(struct rcu_head *head, RCUCBFunc *func);

#ifndef STAND_INS_OF_MY_OWN
/* Nobody reads. */
STAND_IN void call_rcu1(struct rcu_head *head, RCUCBFunc *func)
{
	func(head);
}
#endif

#endif
