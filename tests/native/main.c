/* main.c - runs every native test in turn; a failure aborts. */
#include <time.h>

#include "check.h"

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "error", test_error },
	{ "region", test_region }, { "damage", test_damage }, { "colour", test_colour },     { "pool", test_pool },
	{ "budget", test_budget }, { "lossless", test_lossless }, { "activity", test_activity },
	{ "motion", test_motion },
	{ "frame", test_frame },   { "settings", test_settings }, { "engine", test_engine }, { "scripted", test_scripted },
	{ "auto", test_auto }, { "failures", test_failures }, { "stress", test_stress },
};

int main(void)
{
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct timespec begin, end;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		tests[i].run();
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("ok %-10s %.2f s\n", tests[i].name,
		       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	}
	return 0;
}
