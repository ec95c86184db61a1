/* test_budget.c - the byte budget against a log of every byte and its time. */
#include <string.h>

#include "budget.h"
#include "check.h"

#define SENDS 20000
#define WINDOW 2000000u

static struct {
	uint64_t at;
	int64_t bytes;
} sent[SENDS];

/* The most bytes in any two seconds, and all bytes. */
static int64_t busiest(int count, int64_t *all)
{
	int64_t sum = 0, most = 0;
	int first = 0;

	*all = 0;
	for (int i = 0; i < count; i++) {
		sum += sent[i].bytes;
		*all += sent[i].bytes;
		while (sent[first].at + WINDOW <= sent[i].at)
			sum -= sent[first++].bytes;
		most = sum > most ? sum : most;
	}
	return most;
}

/* A sender that always has more, in messages of all sizes up to `largest`, and waits for due(), keeps to the rate. */
static void check_greedy(uint32_t *seed, int kbps, int64_t largest)
{
	const int64_t rate = (int64_t)kbps * 125;
	struct se_budget budget;
	uint64_t start = 1000000u + draw(seed), now = start;
	int64_t most, all;
	int count = 0;

	se_budget_init(&budget, kbps, now);
	CHECK(se_budget_available(&budget, now) >= SE_BUDGET_BURST, "burst");
	while (now < start + 20000000u && count < SENDS) {
		size_t bytes = (size_t)draw_between(seed, 1, (int)largest);
		uint64_t due = se_budget_due(&budget, bytes, now);

		CHECK(due >= now, "in the past");
		if (due > now && draw_between(seed, 0, 3) == 0) { /* asks again on the way */
			now += (due - now) / 2;
			continue;
		}
		now = due;
		CHECK(se_budget_due(&budget, bytes, now) == now, "due moves while waiting");
		sent[count].at = now;
		sent[count++].bytes = (int64_t)bytes;
		se_budget_spend(&budget, bytes, now);
		if (draw_between(seed, 0, 400) == 0)
			now += (uint64_t)draw_between(seed, 0, 3000000);
	}
	most = busiest(count, &all);
	CHECK(most <= rate * 2 * 11 / 10 + SE_BUDGET_BURST, "%lld of %lld in two seconds", (long long)most, (long long)rate * 2);
	/* After the burst: the same without allowance. */
	for (int64_t burst = SE_BUDGET_BURST, i = 0; burst > 0 && i < count; i++) {
		int64_t part = sent[i].bytes < burst ? sent[i].bytes : burst;

		sent[i].bytes -= part;
		burst -= part;
	}
	most = busiest(count, &all);
	CHECK(most <= rate * 2 * 11 / 10, "%lld of %lld in two seconds", (long long)most, (long long)rate * 2);
}

/* Whoever plans for what is available and is wrong, but never by more than the room, keeps to the rate. */
static void check_room(uint32_t *seed, int kbps)
{
	const int64_t rate = (int64_t)kbps * 125;
	struct se_budget budget;
	uint64_t now = 5000000u;
	int64_t most, all;
	int count = 0;

	se_budget_init(&budget, kbps, now);
	se_budget_spend(&budget, SE_BUDGET_BURST, now);
	CHECK(se_budget_bucket(&budget) == rate / 10, "%lld", (long long)se_budget_bucket(&budget));
	for (; now < 25000000u; now += (uint64_t)draw_between(seed, 1000, 40000)) {
		int64_t available = se_budget_available(&budget, now), room = se_budget_room(&budget, now);

		CHECK(room >= available, "%lld of %lld", (long long)available, (long long)room);
		if (available == 0)
			continue;
		sent[count].at = now;
		sent[count++].bytes = draw_between(seed, 0, 5) ? available : room;
		se_budget_spend(&budget, (size_t)sent[count - 1].bytes, now);
	}
	most = busiest(count, &all);
	CHECK(most <= rate * 2 * 11 / 10, "%lld of %lld in two seconds", (long long)most, (long long)rate * 2);
	CHECK(all >= rate * 18, "%lld in 20 s", (long long)all);
}

/* A steady sender gets the whole rate. */
static void check_use(int kbps)
{
	struct se_budget budget;
	int64_t spent = 0;

	se_budget_init(&budget, kbps, 500);
	se_budget_spend(&budget, SE_BUDGET_BURST, 500);
	for (uint64_t now = 500; now <= 10000500u; now += 16667) {
		int64_t bytes = se_budget_available(&budget, now);

		se_budget_spend(&budget, (size_t)bytes, now);
		spent += bytes;
	}
	CHECK(spent >= (int64_t)kbps * 125 * 97 / 10 && spent <= (int64_t)kbps * 125 * 103 / 10, "%lld in 10 s at %d kbit/s",
	      (long long)spent, kbps);
}

static void check_edges(void)
{
	struct se_budget budget;
	uint64_t due;

	se_budget_init(&budget, 0, 77);
	se_budget_spend(&budget, 1 << 30, 78);
	CHECK(se_budget_available(&budget, 79) == SE_BUDGET_UNLIMITED && se_budget_due(&budget, SIZE_MAX, 80) == 80 &&
	      se_budget_room(&budget, 81) == SE_BUDGET_UNLIMITED, "unlimited");
	/* What was sent without a limit counts when one comes, for two seconds. */
	se_budget_set_rate(&budget, 800, 100000);
	CHECK(se_budget_available(&budget, 100000) == 0, "%lld", (long long)se_budget_available(&budget, 100000));
	CHECK(se_budget_available(&budget, 2300000) == 10000, "%lld", (long long)se_budget_available(&budget, 2300000));
	/* An overdraft is paid back at the rate: 100 kB a second. */
	se_budget_spend(&budget, 60000, 2300000);
	CHECK(se_budget_available(&budget, 2500000) == 0, "debt");
	due = se_budget_due(&budget, 1000, 2500000);
	CHECK(due == 2810000, "%llu", (unsigned long long)due);
	/* More than two seconds' worth goes when they are empty. */
	due = se_budget_due(&budget, 1000000, 2500000);
	CHECK(due >= 4300000 && due <= 4400000, "%llu", (unsigned long long)due);
	/* Time does not go back, and absurd numbers overflow nothing. */
	CHECK(se_budget_available(&budget, 5) == 0, "back");
	se_budget_spend(&budget, SIZE_MAX, 3000000);
	se_budget_spend(&budget, SIZE_MAX, 3000000);
	se_budget_set_rate(&budget, 2147483647, 3000001);
	CHECK(se_budget_available(&budget, UINT64_MAX) > 0, "never paid");
	se_budget_set_rate(&budget, -5, UINT64_MAX);
	CHECK(se_budget_available(&budget, UINT64_MAX) == SE_BUDGET_UNLIMITED, "negative");
}

void test_budget(void)
{
	static const int rates[] = { 100, 300, 1000, 8000, 100000 };
	uint32_t seed = 11;

	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		check_use(rates[i]);
		check_room(&seed, rates[i]);
		check_greedy(&seed, rates[i], rates[i] * 250 / 4); /* up to half a second's worth */
		check_greedy(&seed, rates[i], rates[i] * 5);       /* small ones */
		check_greedy(&seed, rates[i], rates[i] * 240);     /* close to two seconds' worth */
	}
	check_edges();
}
