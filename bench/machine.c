/* SPDX-License-Identifier: MIT */
/* What the machine has: read from /proc, and the cost of the clock measured. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bench/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/statistics.h"

/* The number after a field's name in a file of /proc; 0 when it is not there. */
static uint64_t proc_number(const char *path, const char *field)
{
	FILE *file = fopen(path, "r");
	unsigned long long value = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, field, strlen(field)))
			continue;
		if (sscanf(line + strlen(field), "%llu", &value) != 1)
			value = 0;
		break;
	}
	fclose(file);
	return value;
}

static void processor_name(char *name, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[256], *value;

	snprintf(name, size, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "model name", 10) || !(value = strchr(line, ':')))
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(name, size, "%s", value + 2);
		break;
	}
	fclose(file);
}

static double timer_cost(void)
{
	struct series series = { 0 };

	for (unsigned int round = 0; round < 5; round++) {
		uint64_t begin = clock_now(), end = begin;

		for (unsigned int i = 0; i < 100000; i++)
			end = clock_now();
		series_add(&series, (double)(end - begin) / 100000);
	}
	return series_median(&series);
}

static unsigned int allowed_cpus(cpu_set_t *set)
{
	CPU_ZERO(set);
	if (sched_getaffinity(0, sizeof(*set), set))
		return 1;
	return (unsigned int)CPU_COUNT(set);
}

void machine_inspect(struct machine *machine)
{
	struct utsname name;
	cpu_set_t set;

	memset(machine, 0, sizeof(*machine));
	machine->cpus = allowed_cpus(&set);
	machine->memory_available = proc_number("/proc/meminfo", "MemAvailable:") * 1024;
	machine->mappings_limit = proc_number("/proc/sys/vm/max_map_count", "");
	machine->timer_ns = timer_cost();
	processor_name(machine->processor, sizeof(machine->processor));
	if (!uname(&name))
		snprintf(machine->kernel, sizeof(machine->kernel), "%.20s %.60s %.20s",
			 name.sysname, name.release, name.machine);
}

static double rusage_seconds(int who)
{
	struct rusage usage;

	if (getrusage(who, &usage))
		return 0;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

uint64_t machine_sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) ? 0 : (uint64_t)usage.ru_nvcsw;
}

struct machine_load machine_load(void)
{
	/* user nice system idle iowait irq softirq steal; guest time is in the first two. */
	unsigned long long ticks[8] = { 0 };
	double second = (double)sysconf(_SC_CLK_TCK);
	struct machine_load load = { 0 };
	FILE *file = fopen("/proc/stat", "r");

	if (!file)
		return load;
	if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1],
		   &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) == 8) {
		for (unsigned int i = 0; i < 8; i++)
			load.all += (double)ticks[i] / second;
		load.stolen = (double)ticks[7] / second;
		load.busy = load.all - load.stolen - (double)(ticks[3] + ticks[4]) / second;
		load.own = rusage_seconds(RUSAGE_SELF);
	}
	fclose(file);
	return load;
}

void machine_disturbed(const struct machine_load *since, double *others, double *stolen)
{
	struct machine_load now = machine_load();
	double all = now.all - since->all;
	double busy = now.busy - since->busy - (now.own - since->own);

	*others = all > 0 && busy > 0 ? busy * 100 / all : 0;
	*stolen = all > 0 ? (now.stolen - since->stolen) * 100 / all : 0;
}

void machine_pin_thread(unsigned int index)
{
	unsigned int count, seen = 0;
	cpu_set_t allowed, one;

	count = allowed_cpus(&allowed);
	if (count < 2)
		return;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || seen++ != index % count)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		(void)sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

uint64_t machine_anonymous_bytes(void)
{
	return proc_number("/proc/self/smaps_rollup", "Anonymous:") * 1024;
}
