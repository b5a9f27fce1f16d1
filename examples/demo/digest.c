/* SPDX-License-Identifier: MIT */
/* A child process does the sum, so that the demo needs no library for it. */
#define _GNU_SOURCE
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(struct digest *digest, int in, int out)
{
	char *arguments[] = { "sha256sum", "-b", NULL };
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return -error;
	error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!error)
		error = posix_spawnp(&digest->process, arguments[0], &actions, NULL, arguments,
				     environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

int digest_begin(struct digest *digest)
{
	int to[2], from[2], error;

	if (pipe2(to, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		error = -errno;
		close(to[0]);
		close(to[1]);
		return error;
	}
	error = spawn(digest, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	if (error) {
		close(to[1]);
		close(from[0]);
		return error;
	}
	digest->to = to[1];
	digest->from = from[0];
	return 0;
}

int digest_add(struct digest *digest, const void *bytes, size_t count)
{
	while (count) {
		ssize_t put = write(digest->to, bytes, count);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		bytes = (const char *)bytes + put;
		count -= (size_t)put;
	}
	return 0;
}

int digest_end(struct digest *digest, char text[DIGEST_TEXT])
{
	size_t have = 0;
	ssize_t got = 1;
	int status = 0;

	close(digest->to);
	while (have < DIGEST_TEXT - 1 && got > 0) {
		got = read(digest->from, text + have, DIGEST_TEXT - 1 - have);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			have += (size_t)got;
	}
	text[have] = '\0';
	/* The rest of the line is short and fits into the pipe. */
	while (waitpid(digest->process, &status, 0) < 0 && errno == EINTR)
		;
	close(digest->from);
	if (have != DIGEST_TEXT - 1 || strspn(text, "0123456789abcdef") != have)
		return -EIO;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
