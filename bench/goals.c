/* SPDX-License-Identifier: MIT */
/* The table of goals and its verdicts. */
#include "bench/goals.h"

#include <string.h>

enum direction { AT_MOST, AT_LEAST };

static const struct {
	const char *key;
	enum direction direction;
	double bound;
	const char *unit, *text;
} table[GOAL_COUNT] = {
#define GOAL_ROW(key, direction, bound, unit, text) { #key, direction, bound, unit, text },
	GOALS(GOAL_ROW)
#undef GOAL_ROW
};

void goals_set(struct goals *goals, enum goal goal, double value)
{
	goals->measured[goal] = true;
	goals->value[goal] = value;
}

unsigned int goals_measured(const struct goals *goals)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < GOAL_COUNT; i++)
		count += goals->measured[i];
	return count;
}

static bool reached(const struct goals *goals, enum goal goal)
{
	double value = goals->value[goal];

	/* However much is mapped, the answer costs about the same. */
	if (goal == GOAL_answer_ns_8192 && goals->measured[GOAL_answer_ns_1] &&
	    value > 2 * goals->value[GOAL_answer_ns_1])
		return false;
	return table[goal].direction == AT_MOST ? value <= table[goal].bound
						: value >= table[goal].bound;
}

void goals_print(const struct goals *goals, bool all, FILE *file)
{
	unsigned int reached_count = 0;

	fprintf(file, "\n%-34s %12s %13s  %-6s %-7s %s\n", "figure", "measured", "goal", "unit",
		"verdict", "what");
	for (unsigned int i = 0; i < GOAL_COUNT; i++) {
		const char *verdict = "-";
		bool met;

		if (!all && !goals->measured[i])
			continue;
		fprintf(file, "%-34s ", table[i].key);
		if (goals->measured[i]) {
			met = reached(goals, (enum goal)i);
			verdict = met ? "met" : "MISSED";
			reached_count += met;
			fprintf(file, "%12.*f ", goals->value[i] < 1000 ? 3 : 0, goals->value[i]);
		} else {
			fprintf(file, "%12s ", "not measured");
		}
		fprintf(file, "%s %10g  %-6s %-7s %s\n",
			table[i].direction == AT_MOST ? "<=" : ">=", table[i].bound, table[i].unit,
			verdict, table[i].text);
	}
	fprintf(file, "%u of %u goals met, %u measured\n", reached_count, GOAL_COUNT,
		goals_measured(goals));
}

void goals_print_json(const struct goals *goals, FILE *file)
{
	for (unsigned int i = 0; i < GOAL_COUNT; i++)
		if (goals->measured[i])
			fprintf(file, "  \"%s\": %.6g,\n", table[i].key, goals->value[i]);
}
