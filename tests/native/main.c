/* main.c - runs every native test in turn, or those named; a failure aborts. */
#include <string.h>
#include <time.h>

#include "check.h"

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "memory", test_memory }, /* before there are threads: it forks */
	{ "error", test_error },
	{ "region", test_region }, { "damage", test_damage }, { "colour", test_colour },     { "pool", test_pool },
	{ "budget", test_budget }, { "lossless", test_lossless }, { "content", test_content }, { "activity", test_activity },
	{ "motion", test_motion }, { "course", test_course }, { "tiles", test_tiles }, { "pace", test_pace },
	{ "decoder", test_lossless_decoder },
	{ "frame", test_frame },   { "settings", test_settings }, { "engine", test_engine }, { "scripted", test_scripted },
	{ "video", test_video }, { "auto", test_auto }, { "failures", test_failures }, { "stress", test_stress },
};

int main(int count, char **names)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what fails */
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct timespec begin, end;
		bool wanted = count < 2;

		for (int j = 1; j < count; j++)
			wanted = wanted || strcmp(names[j], tests[i].name) == 0;
		if (!wanted)
			continue;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		tests[i].run();
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("ok %-10s %.2f s\n", tests[i].name,
		       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	}
	return 0;
}
