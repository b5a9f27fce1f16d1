/* SPDX-License-Identifier: MIT */
/*
 * What dom0's kernel lets a program do with a foreign page: what copies works, what pins the page
 * does not. Only where there is such a kernel. Files opened with O_DIRECT are not among it: this
 * dom0 has no disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/conformance/facts.h"

#define PAGE ((size_t)GUEST_PAGE_SIZE)

static struct rig rig;

static void say_length(ssize_t length)
{
	if (length < 0)
		say("%d", -errno);
	else
		say("%zd bytes", length);
}

static void *foreign_page(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
	return rig_map(&rig, RIG_GFN, 1, NULL);
}

void look_file(void)
{
	char *page = foreign_page();
	int fd = open("/tmp/file", O_RDWR | O_CREAT, 0600);

	say("write ");
	say_length(pwrite(fd, page, PAGE, 0));
	say(", read ");
	say_length(pread(fd, page, PAGE, 0));
	rig_close(&rig);
}

void look_vmsplice(void)
{
	struct iovec piece = { .iov_base = foreign_page(), .iov_len = PAGE };
	int ends[2];

	if (pipe(ends))
		rig_fail("pipe");
	say_length(vmsplice(ends[1], &piece, 1, 0));
	rig_close(&rig);
}

void look_process_vm(void)
{
	static char buffer[4096];
	struct iovec local = { buffer, PAGE };
	struct iovec remote = { .iov_base = foreign_page(), .iov_len = PAGE };

	say_length(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	rig_close(&rig);
}

void look_io_uring(void)
{
	struct io_uring_params parameters = { 0 };
	struct iovec piece = { .iov_base = foreign_page(), .iov_len = PAGE };
	long fd = syscall(SYS_io_uring_setup, 1, &parameters);

	if (fd < 0)
		say("no io_uring");
	else
		say("%d", syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &piece, 1)
				  ? -errno
				  : 0);
	rig_close(&rig);
}
