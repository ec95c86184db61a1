/* budget.c - how many bytes may be sent now, so that no two seconds exceed a rate.
 *
 * The window is counted in slots: the newest and the 40 before it, which is between 2 and 2.05 s. Its limit is what the bucket
 * alone could let through in 2.05 s, so it holds back only those who overdraw.
 */
#include "budget.h"

#include <string.h>

#define SLOT_US 50000u
#define BUCKET_US 100000
#define WINDOW_US 2150000 /* worth of rate that a window may hold: any two seconds stay below 2.2 s' worth */

static int64_t bucket(const struct se_budget *self)
{
	return self->rate * BUCKET_US;
}

static int64_t window_limit(const struct se_budget *self)
{
	return self->rate * (WINDOW_US / 1000) / 1000;
}

static int64_t window_spent(const struct se_budget *self)
{
	int64_t sum = 0;

	for (int i = 0; i <= SE_BUDGET_SLOTS; i++)
		sum += self->spent[i];
	return sum;
}

/* Brings tokens and slots to `now`. */
static void advance(struct se_budget *self, uint64_t now)
{
	uint64_t slot = now / SLOT_US;

	if (now > self->filled) {
		uint64_t passed = now - self->filled;
		/* A debt may take long to pay, but never longer than this. */
		int64_t most = bucket(self) - self->tokens;

		if (self->rate == 0 || passed >= (uint64_t)(most / self->rate) + 1)
			self->tokens = bucket(self);
		else
			self->tokens += self->rate * (int64_t)passed;
		if (self->tokens > bucket(self))
			self->tokens = bucket(self);
		self->filled = now;
	}
	if (slot <= self->slot)
		return;
	if (slot - self->slot > SE_BUDGET_SLOTS) {
		memset(self->spent, 0, sizeof self->spent);
		self->slot = slot;
	}
	while (self->slot < slot)
		self->spent[++self->slot % (SE_BUDGET_SLOTS + 1)] = 0;
}

static int64_t rate_of(int max_kbps)
{
	return max_kbps > 0 ? (int64_t)max_kbps * 125 : 0;
}

void se_budget_init(struct se_budget *self, int max_kbps, uint64_t now)
{
	*self = (struct se_budget){ .rate = rate_of(max_kbps), .burst = SE_BUDGET_BURST, .filled = now, .slot = now / SLOT_US };
	self->tokens = bucket(self);
}

void se_budget_set_rate(struct se_budget *self, int max_kbps, uint64_t now)
{
	int64_t before = self->rate;

	advance(self, now);
	self->rate = rate_of(max_kbps);
	/* Without a limit nobody has kept count of tokens; a debt stays one, in bytes. */
	if (before == 0 || self->tokens > bucket(self))
		self->tokens = bucket(self);
}

int64_t se_budget_available(struct se_budget *self, uint64_t now)
{
	int64_t window, tokens;

	if (self->rate == 0)
		return SE_BUDGET_UNLIMITED;
	advance(self, now);
	window = window_limit(self) - window_spent(self);
	tokens = self->tokens / 1000000;
	tokens = tokens < window ? tokens : window;
	return self->burst + (tokens > 0 ? tokens : 0);
}

int64_t se_budget_room(struct se_budget *self, uint64_t now)
{
	int64_t window;

	if (self->rate == 0)
		return SE_BUDGET_UNLIMITED;
	advance(self, now);
	window = window_limit(self) - window_spent(self);
	return self->burst + (window > 0 ? window : 0);
}

int64_t se_budget_bucket(const struct se_budget *self)
{
	return bucket(self) / 1000000;
}

void se_budget_spend(struct se_budget *self, size_t bytes, uint64_t now)
{
	int64_t rest = bytes < INT64_MAX / 4000000 ? (int64_t)bytes : INT64_MAX / 4000000, from_burst;

	advance(self, now);
	from_burst = rest < self->burst ? rest : self->burst;
	self->burst -= from_burst;
	rest -= from_burst;
	if (self->rate != 0) {
		self->tokens -= rest * 1000000;
		if (self->tokens < -(INT64_MAX / 4))
			self->tokens = -(INT64_MAX / 4);
	}
	self->spent[self->slot % (SE_BUDGET_SLOTS + 1)] += rest;
}

/* When the window has room for `bytes` (empty, if they are more than it can ever hold). */
static uint64_t window_due(const struct se_budget *self, int64_t bytes, uint64_t now)
{
	int64_t room = window_limit(self) - window_spent(self);
	/* The oldest slot is the one after the newest in the ring; it leaves when the next slot begins. */
	uint64_t oldest = self->slot + 1;

	if (bytes > window_limit(self))
		bytes = window_limit(self);
	if (room >= bytes)
		return now;
	for (int i = 0; i <= SE_BUDGET_SLOTS; i++) {
		room += self->spent[(oldest + (uint64_t)i) % (SE_BUDGET_SLOTS + 1)];
		if (room >= bytes)
			return (oldest + (uint64_t)i) * SLOT_US;
	}
	return (oldest + SE_BUDGET_SLOTS) * SLOT_US;
}

uint64_t se_budget_due(struct se_budget *self, size_t bytes, uint64_t now)
{
	int64_t need, lacking;
	uint64_t tokens_at = now, window_at;

	if (self->rate == 0)
		return now;
	advance(self, now);
	need = (bytes < INT64_MAX / 4000000 ? (int64_t)bytes : INT64_MAX / 4000000) - self->burst;
	if (need <= 0)
		return now;
	lacking = (need * 1000000 < bucket(self) ? need * 1000000 : bucket(self)) - self->tokens;
	if (lacking > 0)
		tokens_at = self->filled + (uint64_t)((lacking + self->rate - 1) / self->rate);
	window_at = window_due(self, need, now);
	return tokens_at > window_at ? tokens_at : window_at;
}
