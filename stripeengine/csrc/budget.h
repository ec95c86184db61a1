/* budget.h - how many bytes may be sent now, so that no two seconds exceed a rate. Plain value, no threads, never fails.
 *
 * A token bucket of 0.1 s smooths; the sum of the last two seconds bounds. Whoever spends no more than se_budget_available(), or
 * waits for se_budget_due(), stays within 10 % of the rate over any two seconds, the first 65536 bytes aside, as long
 * as no single message is larger than two seconds' worth. Times are those of se_now_us() and must not go back.
 */
#ifndef SE_BUDGET_H
#define SE_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#define SE_BUDGET_BURST 65536        /* bytes, once, at the start */
#define SE_BUDGET_UNLIMITED INT64_MAX
#define SE_BUDGET_SLOTS 40           /* of 50 ms: the last two seconds */

struct se_budget {
	int64_t rate;     /* bytes a second; 0: unlimited */
	int64_t tokens;   /* millionths of a byte; negative: debt */
	int64_t burst;    /* bytes left of the initial burst */
	uint64_t filled;  /* tokens are as of then */
	uint64_t slot;    /* number of the newest slot: time / 50 ms */
	int64_t spent[SE_BUDGET_SLOTS + 1]; /* bytes by slot number modulo the size */
};

/* `max_kbps` in 1000 bits a second, 0 for unlimited. */
void se_budget_init(struct se_budget *self, int max_kbps, uint64_t now);

/* Another rate while running: what was spent still counts, there is no new burst. */
void se_budget_set_rate(struct se_budget *self, int max_kbps, uint64_t now);

/* Bytes that may be spent now: 0 or more, SE_BUDGET_UNLIMITED without a limit. */
int64_t se_budget_available(struct se_budget *self, uint64_t now);

/* Bytes that no message may exceed now, or some two seconds would hold too much: what is available and an advance on what comes
 * next, as long as the last two seconds have room. SE_BUDGET_UNLIMITED without a limit. */
int64_t se_budget_room(struct se_budget *self, uint64_t now);

/* The bucket's bytes: the most that is available at once, the initial burst aside. */
int64_t se_budget_bucket(const struct se_budget *self);

/* Notes that bytes were sent, allowed or not; what exceeds the budget is a debt that later sending pays. */
void se_budget_spend(struct se_budget *self, size_t bytes, uint64_t now);

/* The earliest time, `now` or later, at which a message of that size may be sent if nothing else is meanwhile. One larger
 * than the bucket waits until that is full and the last two seconds have room (larger than two seconds' worth: until they
 * are empty). */
uint64_t se_budget_due(struct se_budget *self, size_t bytes, uint64_t now);

#endif
