/* clock.h - the two clocks of the engine. Never fail, never block. */
#ifndef SE_CLOCK_H
#define SE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Host's monotonic clock in microseconds: that of the wire's time stamps. */
static inline uint64_t se_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Processor time of the calling thread in nanoseconds. */
static inline uint64_t se_thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
