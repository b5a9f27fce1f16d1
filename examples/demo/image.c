/* SPDX-License-Identifier: MIT */
/*
 * The copy is a file without a name: whatever happens to the demo, nothing is left behind
 * and the image that was given is as it was.
 */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUPERBLOCK 1024u
#define MAGIC_OFFSET 56u
#define OUTPUT 512

/* ---- e2fsck ------------------------------------------------------------------------------- */

/* Run e2fsck with its output in a pipe. */
static int start_check(char *path, pid_t *process, int *from)
{
	char *arguments[] = { "e2fsck", "-fn", path, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	error = posix_spawn_file_actions_init(&actions);
	if (!error) {
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
		error = posix_spawnp(process, arguments[0], &actions, NULL, arguments, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	if (error)
		close(ends[0]);
	*from = ends[0];
	return -error;
}

/* Keep the first few lines, read the rest. */
static void read_output(int from, char text[OUTPUT])
{
	char piece[4096];
	size_t have = 0;
	ssize_t got;

	while ((got = read(from, piece, sizeof(piece))) > 0 || (got < 0 && errno == EINTR)) {
		size_t room = OUTPUT - 1 - have;
		size_t keep = got < 0 ? 0 : (size_t)got < room ? (size_t)got : room;

		memcpy(text + have, piece, keep);
		have += keep;
	}
	text[have] = '\0';
	close(from);
}

/* The first line that says what is wrong, without the program's banner. */
static const char *complaint(char text[OUTPUT])
{
	char *rest = NULL, *line, *found = NULL;

	for (line = strtok_r(text, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, "e2fsck 1", 8) && strncmp(line, "Pass ", 5))
			found = line;
	return found ? found : "it said nothing";
}

static int check(struct demo *demo, int fd, const char *whose)
{
	char path[64], text[OUTPUT];
	int error, status, from = -1;
	pid_t process;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	error = start_check(path, &process, &from);
	if (error) {
		demo_fail(demo, "e2fsck cannot be run (package e2fsprogs): %s", strerror(-error));
		return error;
	}
	read_output(from, text);
	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	demo_fail(demo, "%s is damaged, says e2fsck -fn: %s", whose, complaint(text));
	return -EUCLEAN;
}

int image_check(struct demo *demo)
{
	return check(demo, demo->work, "the image after the run");
}

/* ---- open --------------------------------------------------------------------------------- */

static int open_given(struct demo *demo)
{
	const char *path = demo->options.image;
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
	struct stat status;
	uint16_t magic;

	if (fd < 0 || fstat(fd, &status)) {
		error = -errno;
		demo_fail(demo, "the image %s: %s", path, strerror(errno));
	} else if (!S_ISREG(status.st_mode)) {
		error = -EINVAL;
		demo_fail(demo, "the image %s is not a file", path);
	} else if (pread(fd, &magic, sizeof(magic), SUPERBLOCK + MAGIC_OFFSET) != sizeof(magic) ||
		   magic != 0xef53) {
		error = -EUCLEAN;
		demo_fail(demo, "the image %s is not an ext4 file system, or damaged", path);
	} else {
		error = check(demo, fd, "the image");
	}
	if (!error) {
		demo->image_bytes = (uint64_t)status.st_size / 512 * 512;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static int copy_file(int from, int to, uint64_t bytes)
{
	char *buffer = malloc(1u << 20);
	uint64_t done = 0;
	ssize_t got = 1;

	while (buffer && done < bytes && got > 0) {
		uint64_t left = bytes - done, step = left < (1u << 20) ? left : (1u << 20);

		got = pread(from, buffer, step, (off_t)done);
		if (got > 0)
			got = pwrite(to, buffer, (size_t)got, (off_t)done);
		if (got > 0)
			done += (uint64_t)got;
	}
	free(buffer);
	return done == bytes ? 0 : got < 0 ? -errno : -EIO;
}

/* Beside the image, else where temporary files go. */
static int open_nameless(const char *image)
{
	const char *slash = strrchr(image, '/'), *temporary = getenv("TMPDIR");
	char directory[4096];
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - image) + 1 : 1,
		 slash ? image : ".");
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open(temporary ? temporary : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		char name[] = "/tmp/mapcache-demo-XXXXXX";

		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
	}
	return fd < 0 ? -errno : fd;
}

int image_open(struct demo *demo)
{
	void *mapping;
	int given, error;

	demo->work = -1;
	given = open_given(demo);
	if (given < 0)
		return given;
	demo->work = open_nameless(demo->options.image);
	error = demo->work < 0 ? demo->work : copy_file(given, demo->work, demo->image_bytes);
	if (!error) {
		mapping = mmap(NULL, demo->image_bytes, PROT_READ, MAP_PRIVATE, given, 0);
		error = mapping == MAP_FAILED ? -errno : 0;
		demo->image = error ? NULL : mapping;
	}
	close(given);
	if (error) {
		demo_fail(demo, "the image cannot be copied: %s", strerror(-error));
		image_close(demo);
	}
	return error;
}

void image_close(struct demo *demo)
{
	if (demo->image)
		munmap((void *)(uintptr_t)demo->image, demo->image_bytes);
	if (demo->work >= 0)
		close(demo->work);
	demo->image = NULL;
	demo->work = -1;
}

/* ---- digests ------------------------------------------------------------------------------ */

static int digest_of(const void *bytes, size_t count, char text[DIGEST_TEXT])
{
	struct digest digest;
	int error = digest_begin(&digest), end_error;

	if (error)
		return error;
	error = digest_add(&digest, bytes, count);
	end_error = digest_end(&digest, text);
	return error ? error : end_error;
}

int image_digests(struct demo *demo, char given[DIGEST_TEXT], char copy[DIGEST_TEXT])
{
	void *mapping = mmap(NULL, demo->image_bytes, PROT_READ, MAP_SHARED, demo->work, 0);
	int error = mapping == MAP_FAILED ? -errno : 0;

	if (!error)
		error = digest_of(demo->image, demo->image_bytes, given);
	if (!error)
		error = digest_of(mapping, demo->image_bytes, copy);
	if (mapping != MAP_FAILED)
		munmap(mapping, demo->image_bytes);
	if (error)
		demo_fail(demo, "SHA-256: %s", strerror(-error));
	return error;
}
