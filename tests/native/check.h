/* check.h - what the native tests share: a failing check says where and ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                                           \
	do {                                                                                \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: check failed: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__);                                               \
			fputc('\n', stderr);                                                        \
			abort();                                                                    \
		}                                                                               \
	} while (0)

/* xorshift32: the same numbers on every machine. */
static inline uint32_t draw(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static inline int draw_between(uint32_t *state, int low, int high)
{
	return low + (int)(draw(state) % (uint32_t)(high - low + 1));
}

void test_error(void);
void test_region(void);
void test_damage(void);
void test_colour(void);
void test_pool(void);
void test_budget(void);
void test_lossless(void);
void test_lossless_decoder(void);
void test_content(void);
void test_activity(void);
void test_motion(void);
void test_course(void);
void test_tiles(void);
void test_pace(void);
void test_frame(void);
void test_settings(void);
void test_engine(void);
void test_stress(void);
void test_scripted(void);
void test_failures(void);
void test_memory(void);
void test_video(void);
void test_auto(void);

#endif
