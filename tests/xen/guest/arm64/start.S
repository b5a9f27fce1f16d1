/* SPDX-License-Identifier: MIT */
/*
 * Entry of every vCPU: EL1, MMU off, exceptions masked, the vCPU's number in x0. An access that
 * nobody serves is a data abort from Xen: a load gets all ones, a store is lost, as on a PC.
 */
	.section .text.start, "ax"
	.globl	start
start:
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	adrp	x1, stacks
	add	x1, x1, :lo12:stacks
	add	x2, x0, #1
	mov	x3, #STACK_SIZE
	madd	x1, x2, x3, x1
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	bl	guest_main
1:	wfi
	b	1b

	.macro	VECTOR to
	.balign	128
	b	\to
	.endm
	.text
	.balign	2048
vectors:
	.rept	4
	VECTOR	crash
	.endr
	VECTOR	unserved		/* synchronous, of this level */
	.rept	11
	VECTOR	crash
	.endr

/* Registers 0 to 30 by number on the stack, so that the one that was to be loaded can be set. */
unserved:
	sub	sp, sp, #256
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	str	x\n, [sp, #(\n * 8)]
	.endr
	mrs	x0, esr_el1
	lsr	x0, x0, #26
	cmp	x0, #0x25		/* a data abort at this level? */
	b.ne	crash
	mrs	x0, elr_el1
	ldr	w1, [x0]		/* the instruction: str or ldr, its register in bits 0 to 4 */
	add	x0, x0, #4
	msr	elr_el1, x0
	tbz	w1, #22, 1f		/* a store */
	and	x2, x1, #31
	mov	w3, #-1
	str	x3, [sp, x2, lsl #3]
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	ldr	x\n, [sp, #(\n * 8)]
	.endr
	add	sp, sp, #256
	eret

crash:
	mov	x0, #2			/* SCHEDOP_shutdown */
	adr	x1, reason
	mov	x16, #29
	hvc	#0xea1
	b	.
	.balign	4
reason:	.word	3			/* SHUTDOWN_crash */

	.set	STACK_SIZE, 16384
	.section .stacks, "aw", %nobits
	.balign	16
stacks:
	.skip	2 * STACK_SIZE
	.section .note.GNU-stack, "", %progbits
