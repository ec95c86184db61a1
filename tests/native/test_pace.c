/* test_pace.c - when frames are made: sources of every rate are played against the pace, arrival times in, frame times out. */
#include <string.h>

#include "check.h"
#include "pace.h"

#define CHANGES 4000
#define FRAMES 4000
#define MS(ms) ((uint64_t)((ms) * 1000))

static struct {
	uint64_t arrivals[CHANGES]; /* ascending */
	bool same[CHANGES];         /* it leaves all pixels as they were */
	int count;
	uint64_t frames[FRAMES]; /* when captured */
	int frame_count;
	int captures; /* with those that found nothing */
	int wakeups;
	uint64_t waits[CHANGES]; /* until a capture */
} play;

static void begin(void)
{
	memset(&play, 0, sizeof play);
}

static void add(uint64_t at, bool same)
{
	int i = play.count++;

	CHECK(play.count <= CHANGES, "too many changes");
	for (; i > 0 && play.arrivals[i - 1] > at; i--) {
		play.arrivals[i] = play.arrivals[i - 1];
		play.same[i] = play.same[i - 1];
	}
	play.arrivals[i] = at;
	play.same[i] = same;
}

/* `second`: a second part follows each burst after so long; `jitter`: each is up to so much late. */
static void add_stream(double rate, uint64_t begin_us, uint64_t length_us, uint64_t second, int jitter)
{
	uint32_t seed = 5;

	for (int i = 0; (double)i * 1e6 / rate < (double)length_us; i++) {
		uint64_t at = begin_us + (uint64_t)((double)i * 1e6 / rate) + (jitter ? draw(&seed) % (uint32_t)jitter : 0);

		add(at, false);
		if (second)
			add(at + second, false);
	}
}

/* The engine's loop with a source that says once that it has changed, until it is asked. `work_us`: what a frame takes. */
static void run(struct se_pace *pace, uint64_t now, uint64_t end, uint64_t work_us)
{
	int read = 0, captured = 0;

	while (now < end) {
		struct se_pace_wait wait = se_pace_wait(pace, now);
		uint64_t due = se_pace_due(pace);
		bool watched = true;

		if (due > now) {
			uint64_t next = read < play.count ? play.arrivals[read] : end;

			CHECK(wait.until_us > now && wait.until_us <= due, "a wait that is over");
			watched = wait.watch;
			if (watched && next < wait.until_us)
				wait.until_us = next;
			now = wait.until_us > now ? (wait.until_us < end ? wait.until_us : end) : now;
			play.wakeups++;
		}
		if (read < play.count && play.arrivals[read] <= now) {
			while (read < play.count && play.arrivals[read] <= now)
				read++;
			se_pace_change(pace, watched, now);
		}
		if (se_pace_due(pace) > now)
			continue;
		bool same = true;

		for (; captured < read; captured++) {
			same = same && play.same[captured];
			play.waits[captured] = now - play.arrivals[captured];
		}
		play.captures++;
		if (same) {
			se_pace_empty(pace, now);
			continue;
		}
		CHECK(play.frame_count < FRAMES, "too many frames");
		play.frames[play.frame_count++] = now;
		se_pace_frame(pace, now);
		now += work_us;
	}
	CHECK(captured == play.count, "%d of %d changes captured", captured, play.count);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Of the waits of the changes from `first` on, each `step`-th: in ms. */
static double wait_ms(int first, int step, double share)
{
	static uint64_t sorted[CHANGES];
	int count = 0;

	for (int i = first; i < play.count; i += step)
		sorted[count++] = play.waits[i];
	qsort(sorted, (size_t)count, sizeof *sorted, by_value);
	return (double)sorted[(int)((count - 1) * share)] / 1000;
}

/* In no second more than the framerate and what the bucket holds, and no two frames closer than a quarter period. */
static void check_rate(int framerate)
{
	int first = 0;

	for (int i = 0; i < play.frame_count; i++) {
		while (play.frames[first] + 1000000 <= play.frames[i])
			first++;
		CHECK(i - first + 1 <= framerate + SE_PACE_BUCKET, "%d frames in a second of %d", i - first + 1, framerate);
		CHECK(i == 0 || play.frames[i] - play.frames[i - 1] >= 250000u / (unsigned)framerate, "%d us after the last",
		      (int)(play.frames[i] - play.frames[i - 1]));
	}
}

/* Plays a stream for four seconds; every frame takes 3 ms. */
static void play_stream(double rate, uint64_t second, int jitter)
{
	struct se_pace pace;

	begin();
	add_stream(rate, MS(1000), MS(4000), second, jitter);
	se_pace_init(&pace, 60);
	run(&pace, 0, MS(6000), MS(3));
	check_rate(60);
	CHECK(wait_ms(0, 1, 1) < 16.67 + 1 + 3, "%.2f ms at %.1f/s", wait_ms(0, 1, 1), rate);
	CHECK(play.wakeups <= 4 * play.frame_count + 10, "%d wake-ups for %d frames", play.wakeups, play.frame_count);
}

/* As many changes as frames, or fewer: each is taken as it comes, whatever its phase. */
static void check_slower_sources(void)
{
	static const double rates[] = { 5, 24, 25, 30, 50, 57, 59.9, 60, 60.5 };

	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		play_stream(rates[i], 0, 0);
		CHECK(wait_ms(0, 1, 1) <= 1 && play.frame_count >= play.count, "%.2f ms, %d frames for %d changes at %.1f/s",
		      wait_ms(0, 1, 1), play.frame_count, play.count, rates[i]);
		play_stream(rates[i], 0, 4000);
		CHECK(wait_ms(0, 1, 0.97) <= 1, "%.2f ms at %.1f/s with jitter", wait_ms(0, 1, 0.97), rates[i]);
		/* What follows shortly is in the same frame. */
		if (rates[i] < 20)
			continue; /* at so few each is one after rest */
		play_stream(rates[i], 400, 0);
		CHECK(wait_ms(0, 1, 0.97) <= 1, "%.2f ms at %.1f/s", wait_ms(0, 1, 0.97), rates[i]);
		CHECK(play.frame_count <= play.count / 2 + 2, "%d frames for %d bursts at %.1f/s", play.frame_count,
		      play.count / 2, rates[i]);
	}
}

/* What follows later has a frame of its own while there are enough, and never costs the next burst its time. */
static void check_double_bursts(void)
{
	play_stream(30, MS(3), 0);
	CHECK(wait_ms(0, 2, 1) <= 1 && wait_ms(1, 2, 1) <= 2.2, "%.2f and %.2f ms at 30/s", wait_ms(0, 2, 1), wait_ms(1, 2, 1));
	play_stream(50, MS(3), 0);
	CHECK(wait_ms(0, 2, 0.5) <= 1, "%.2f ms at 50/s", wait_ms(0, 2, 0.5));
	play_stream(59.9, MS(3), 0);
	CHECK(wait_ms(0, 2, 0.95) <= 1, "%.2f ms at 59.9/s", wait_ms(0, 2, 0.95));
	play_stream(60, MS(3), 0);
	CHECK(wait_ms(0, 2, 0.95) <= 1, "%.2f ms at 60/s", wait_ms(0, 2, 0.95));
	/* Locked to the second part instead: both are in a frame 8 ms after the first. */
	play_stream(60, MS(7), 0);
	CHECK(wait_ms(0, 2, 0.95) <= 8 && wait_ms(1, 2, 0.95) <= 1, "%.2f ms at 60/s", wait_ms(0, 2, 0.95));
}

/* More changes than frames: some are skipped, the others are still taken as they come. */
static void check_faster_sources(void)
{
	static const struct {
		double rate, median_ms;
	} sources[] = { { 61, 1 }, { 70, 1 }, { 75, 1 }, { 90, 6 }, { 100, 7 }, { 120, 4 }, { 144, 8 }, { 200, 8 }, { 500, 9 } };

	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		play_stream(sources[i].rate, 0, 0);
		CHECK(wait_ms(0, 1, 0.5) <= sources[i].median_ms, "%.2f ms at %.0f/s", wait_ms(0, 1, 0.5), sources[i].rate);
		CHECK(play.frame_count >= 238, "%d frames in four seconds at %.0f/s", play.frame_count, sources[i].rate);
		play_stream(sources[i].rate, 400, 0);
		CHECK(wait_ms(0, 2, 0.5) <= sources[i].median_ms + 2, "%.2f ms at %.0f/s", wait_ms(0, 2, 0.5), sources[i].rate);
	}
}

static void check_rest(void)
{
	struct se_pace pace;
	uint32_t seed = 9;
	uint64_t at = 0;

	/* Keys: nothing is waited for. */
	begin();
	se_pace_init(&pace, 60);
	for (int i = 0; i < 200; i++)
		add(at += MS(60) + draw(&seed) % 200000u, false);
	run(&pace, 0, at + MS(100), MS(1));
	CHECK(wait_ms(0, 1, 1) <= 0 && play.wakeups <= 202, "%.2f ms, %d wake-ups", wait_ms(0, 1, 1), play.wakeups);

	/* A window raised: cleared, drawn 3 ms later, its frame another 5 ms later. */
	for (int framerate = 30; framerate <= 240; framerate *= 2) {
		uint64_t quarter = 250000u / (unsigned)framerate;

		begin();
		se_pace_init(&pace, framerate);
		for (int i = 0; i < 10; i++) {
			add(at = 1000000u * (unsigned)(i + 1), false);
			add(at + MS(3), false);
			add(at + MS(8), false);
		}
		run(&pace, 0, at + MS(100), 500);
		CHECK(wait_ms(0, 3, 1) <= 0, "%.2f ms", wait_ms(0, 3, 1));
		CHECK(wait_ms(0, 1, 1) <= (double)quarter / 1000 + 1, "%.2f ms at %d/s", wait_ms(0, 1, 1), framerate);
		check_rate(framerate);
	}
}

static void check_same_pixels(void)
{
	struct se_pace pace;

	/* One repaint that alters nothing delays the change behind it by a sixteenth of a period. */
	begin();
	se_pace_init(&pace, 60);
	for (int i = 0; i < 20; i++) {
		add(MS(1000) * (unsigned)(i + 1), true);
		add(MS(1000) * (unsigned)(i + 1) + 600, false);
	}
	run(&pace, 0, MS(22000), MS(1));
	CHECK(wait_ms(1, 2, 1) <= 0.5 && play.frame_count == 20, "%.2f ms", wait_ms(1, 2, 1));

	/* A stream of them costs a capture a period, and a change among them waits no longer. */
	begin();
	se_pace_init(&pace, 60);
	for (int i = 0; i < 2000; i++)
		add(MS(1000) + (unsigned)i * 1000u, i != 1500);
	run(&pace, 0, MS(4000), MS(1));
	CHECK(play.captures <= 2 * 60 + 8 && play.frame_count == 1, "%d captures in two seconds", play.captures);
	CHECK(play.waits[1500] <= MS(17), "%d us", (int)play.waits[1500]);
	CHECK(play.wakeups <= 3 * play.captures, "%d wake-ups for %d captures", play.wakeups, play.captures);
}

static void check_calls(void)
{
	struct se_pace pace;
	struct se_pace_wait wait;

	se_pace_init(&pace, 1);
	CHECK(se_pace_due(&pace) == SE_PACE_NEVER && se_pace_spare(&pace) == 0, "new");
	wait = se_pace_wait(&pace, 5);
	CHECK(wait.until_us == SE_PACE_NEVER && wait.watch, "nothing to wait for");
	for (uint64_t i = 0; i < SE_PACE_BUCKET; i++) {
		se_pace_change(&pace, true, MS(9000) + i);
		se_pace_frame(&pace, MS(9000) + i);
	}
	/* The bucket is empty: the next one comes when a frame is in it again, or as soon as the rate is another. */
	se_pace_change(&pace, true, MS(9100));
	CHECK(se_pace_due(&pace) >= MS(10000) && se_pace_due(&pace) <= MS(10101), "%llu", (unsigned long long)se_pace_due(&pace));
	CHECK(se_pace_spare(&pace) >= MS(11000), "a repair takes what a change needs");
	se_pace_set_rate(&pace, 120, MS(9200));
	CHECK(se_pace_due(&pace) <= MS(9210), "%llu", (unsigned long long)se_pace_due(&pace));
	se_pace_hold(&pace, MS(9500));
	se_pace_hold(&pace, MS(9300));
	CHECK(se_pace_due(&pace) == MS(9500) && se_pace_spare(&pace) >= MS(9500), "held");
	wait = se_pace_wait(&pace, MS(9400));
	CHECK(wait.until_us == MS(9500) && !wait.watch, "woken while held");
	se_pace_frame(&pace, MS(9500));
	CHECK(se_pace_due(&pace) == SE_PACE_NEVER, "taken");
	/* Slower again. */
	se_pace_set_rate(&pace, 2, MS(9500));
	se_pace_change(&pace, false, MS(9501));
	CHECK(se_pace_due(&pace) >= MS(9625) && se_pace_due(&pace) <= MS(10002), "%llu", (unsigned long long)se_pace_due(&pace));
}

void test_pace(void)
{
	check_calls();
	check_rest();
	check_slower_sources();
	check_double_bursts();
	check_faster_sources();
	check_same_pixels();
}
