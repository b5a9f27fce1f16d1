/* SPDX-License-Identifier: MIT */
/*
 * Looks at every fact of the table, each in a process of its own, and compares.
 *
 *	facts [NAME]		those whose name contains NAME (in dom0 also from XEN_TESTS)
 *	facts --table		the table, as docs/facts.md
 *
 * Its lines look like cmocka's; FACT lines are what tests/conformance/table puts together.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/facts.h"

#define SECONDS 60
#define TEXT 2000
#define UNKNOWN "(not looked at yet)"

static const char *const host_names[HOSTS] = {
	"xensim, x86", "xensim, Arm", "Xen 4.17, x86", "Xen 4.20, x86", "Xen 4.17, arm64",
};

/* Shared: a look that ends its process has said something before. */
static char *seen;

void say(const char *format, ...)
{
	size_t length = strlen(seen);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(seen + length, TEXT - length, format, arguments);
	va_end(arguments);
}

static void look(const struct fact *fact, enum host host)
{
	int status;
	pid_t child;

	seen[0] = 0;
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(SECONDS);
		platform_start(host);
		fact->look();
		fflush(stdout);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		say(" (no process)");
	else if (WIFSIGNALED(status))
		say(" (%s)", strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		say(" (failed)");
}

/* One of those that are expected, with " | " between them. */
static bool as_expected(const char *expected)
{
	size_t length = strlen(seen);

	for (const char *at = expected; at; at = strstr(at, " | ") ? strstr(at, " | ") + 3 : NULL)
		if (!strncmp(at, seen, length) && (!at[length] || !strncmp(at + length, " | ", 3)))
			return true;
	return false;
}

static bool check(const struct fact *fact, enum host host)
{
	const char *expected = fact_expected(fact, host);
	bool good;

	if (expected[0] == '(' && strcmp(expected, UNKNOWN)) {
		printf("FACT %d %s: %s\n", host, fact->name, expected);
		return true;
	}
	printf("[ RUN      ] %s\n", fact->name);
	look(fact, host);
	if (!strcmp(expected, UNKNOWN)) {
		printf("FACT %d %s: %s\n", host, fact->name, seen);
		printf("[  SKIPPED ] %s: nobody had looked on %s yet\n", fact->name,
		       host_names[host]);
		return true;
	}
	good = as_expected(expected);
	printf("FACT %d %s: %s\n", host, fact->name, seen);
	if (!good)
		printf("error: %s (%s)\n  seen     %s\n  expected %s\n", fact->statement,
		       host_names[host], seen, expected);
	printf("[  %s ] %s\n", good ? "     OK" : "FAILED ", fact->name);
	return good;
}

static unsigned int check_all(const char *only, enum host host)
{
	unsigned int failed = 0;

	for (size_t i = 0; i < facts_count; i++) {
		if (!facts[i].look || (only && !strstr(facts[i].name, only)))
			continue;
		failed += !check(&facts[i], host);
		fflush(stdout);
	}
	return failed;
}

/* ---- the table --------------------------------------------------------------------- */

static void print_cell(const char *text)
{
	printf("| ");
	for (; *text; text++) {
		if (*text == '|')
			printf("or");
		else
			putchar(*text);
	}
	putchar(' ');
}

static void print_fact(const struct fact *fact)
{
	print_cell(fact->statement);
	for (enum host host = HOST_X86_417; host < HOSTS; host++) {
		const char *text = fact_expected(fact, host);

		print_cell(host > HOST_X86_417 && text == fact_expected(fact, HOST_X86_417) ? "="
											    : text);
	}
	if (!fact->seen[HOST_XENSIM_X86] && !fact->seen[HOST_XENSIM_ARM])
		print_cell("=");
	else if (!fact->seen[HOST_XENSIM_ARM] ||
		 (fact->seen[HOST_XENSIM_X86] &&
		  !strcmp(fact->seen[HOST_XENSIM_X86], fact->seen[HOST_XENSIM_ARM])))
		print_cell(fact->seen[HOST_XENSIM_X86]);
	else if (!fact->seen[HOST_XENSIM_X86])
		printf("| =; Arm: %s ", fact->seen[HOST_XENSIM_ARM]);
	else
		printf("| x86: %s; Arm: %s ", fact->seen[HOST_XENSIM_X86],
		       fact->seen[HOST_XENSIM_ARM]);
	printf("|\n");
}

static void print_table(void)
{
	printf("# What is believed about Xen, and where it was seen\n\n"
	       "Printed by `make facts` from tests/conformance/facts.c. Each line is a small program "
	       "on the Xen\nlibraries' own calls that runs unchanged on xensim (`make check`) and in "
	       "a real dom0\n(`tests/xen/check facts`, `XEN=4.20`, `tests/xen/arm64/check facts`), "
	       "and fails where it does not\nsee what stands here. Errors are negative errno values, "
	       "`told` counts INVALIDATE requests to one\nserver. `=`: as on 4.17, x86. In brackets: "
	       "not looked at there, and why.\n");
	for (size_t i = 0; i < facts_count; i++) {
		if (facts[i].look)
			print_fact(&facts[i]);
		else
			printf("\n## %s\n\n| fact | Xen 4.17, x86 | Xen 4.20, x86 | Xen 4.17, "
			       "arm64 | xensim |\n|---|---|---|---|---|\n",
			       facts[i].statement);
	}
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : getenv("XEN_TESTS");
	unsigned int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (only && !strcmp(only, "--table")) {
		print_table();
		return 0;
	}
	seen = mmap(NULL, TEXT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 2;
	for (enum host host = 0; host < HOSTS; host++)
		if (platform_is(host))
			failed += check_all(only, host);
	return failed ? 1 : 0;
}
