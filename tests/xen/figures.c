/* SPDX-License-Identifier: MIT */
/*
 * Figures from a real Xen under emulation. Only ratios within one run mean anything; the
 * tables are for people, the FIGURE lines for scripts (tests/xen/check keeps them in
 * build/xen/figures.txt).
 */
#include "tests/xen/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/xen/test.h"

#define FIGURES_MAX 256

static struct {
	char name[64];
	double value;
} figures[FIGURES_MAX];
static unsigned int kept;

unsigned int figures_rounds(void)
{
	const char *text = getenv("XEN_FIGURES_ROUNDS");
	int rounds = text ? atoi(text) : 0;

	return rounds > 0 && rounds <= 101 ? (unsigned int)rounds : 3;
}

void figures_keep(const char *name, double value)
{
	CHECK(kept < FIGURES_MAX && strlen(name) < sizeof(figures[0].name));
	strcpy(figures[kept].name, name);
	figures[kept++].value = value;
}

static void print_kept(void)
{
	for (unsigned int i = 0; i < kept; i++)
		printf("FIGURE %s %.6g\n", figures[i].name, figures[i].value);
}

int main(void)
{
	struct domain domain;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# medians of %u rounds\n", figures_rounds());
	domain_create(&domain, 1, FIGURES_PAGES, 9);
	figures_map(&domain);
	figures_refresh(&domain);
	figures_settings(&domain);
	figures_policies(&domain);
	domain_destroy(&domain);
	CHECK(domain_wait_gone(&domain, 5000));
	figures_answer();
	print_kept();
	return 0;
}
