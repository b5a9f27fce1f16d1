/* SPDX-License-Identifier: MIT */
/* What dom0's kernel lets a program do with a foreign page. Only where there is such a kernel. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xengnttab.h>

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

/* /tmp is a tmpfs, which takes O_DIRECT only lately; a RAM disk always does. */
static int open_direct(void)
{
	int fd = open("/dev/ram0", O_RDWR | O_DIRECT);

	return fd >= 0 ? fd : open("/tmp/direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
}

static void say_file(int fd, void *page)
{
	say("write ");
	say_length(pwrite(fd, page, PAGE, 0));
	say(", read ");
	say_length(pread(fd, page, PAGE, 0));
	close(fd);
}

void look_direct_io(void)
{
	int fd = open_direct();

	if (fd < 0) {
		say("no file for O_DIRECT");
		return;
	}
	rig_open(&rig, &(struct platform_options){ 0 });
	say_file(fd, rig_map(&rig, RIG_GFN, 1, NULL));
	rig_close(&rig);
}

void look_buffered_io(void)
{
	rig_open(&rig, &(struct platform_options){ 0 });
	say_file(open("/tmp/buffered", O_RDWR | O_CREAT, 0600), rig_map(&rig, RIG_GFN, 1, NULL));
	rig_close(&rig);
}

void look_vmsplice(void)
{
	struct iovec piece = { .iov_len = PAGE };
	int ends[2];

	rig_open(&rig, &(struct platform_options){ 0 });
	piece.iov_base = rig_map(&rig, RIG_GFN, 1, NULL);
	if (pipe(ends))
		rig_fail("pipe");
	say_length(vmsplice(ends[1], &piece, 1, 0));
	rig_close(&rig);
}

void look_process_vm(void)
{
	static char buffer[4096];
	struct iovec local = { buffer, PAGE }, remote = { .iov_len = PAGE };

	rig_open(&rig, &(struct platform_options){ 0 });
	remote.iov_base = rig_map(&rig, RIG_GFN, 1, NULL);
	say_length(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	rig_close(&rig);
}

void look_granted_direct_io(void)
{
	xengnttab_handle *table = xengnttab_open(NULL, 0);
	int fd = open_direct();
	void *page;

	if (fd < 0) {
		say("no file for O_DIRECT");
		return;
	}
	rig_open(&rig, &(struct platform_options){ 0 });
	page = xengnttab_map_grant_ref(table, rig.domid,
				       platform_grant(&rig.platform, RIG_GFN, false),
				       PROT_READ | PROT_WRITE);
	say_file(fd, page);
	xengnttab_unmap(table, page, 1);
	xengnttab_close(table);
	rig_close(&rig);
}
