/* SPDX-License-Identifier: MIT */
/*
 * Entry of every vCPU: 32-bit flat protected mode, no paging, interrupts off. The domain
 * builder puts the vCPU's number into %ebx.
 */
	.code32
	.section .text.start, "ax"
	.globl	start
start:
	cld
	movl	%ebx, %eax
	incl	%eax
	imull	$STACK_SIZE, %eax
	leal	stacks(%eax), %esp
	xorl	%ebp, %ebp
	pushl	$0			/* keeps the stack aligned to 16 at the call */
	pushl	$0
	pushl	$0
	pushl	%ebx
	call	guest_main
1:	hlt
	jmp	1b

	.set	STACK_SIZE, 16384
	.section .stacks, "aw", @nobits
	.balign	16
stacks:
	.skip	2 * STACK_SIZE
	.section .note.GNU-stack, "", @progbits
