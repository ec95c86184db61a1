/* engine_loop.c - the engine's thread: it sleeps in poll() until the source, a caller or a due time wakes it.
 *
 * When a frame is made is decided in pace.c. Once damage is known the source is not watched until the next burst may be
 * taken: more damage only merges, and a wake-up for each report would cost more than it tells. At rest nothing wakes it but
 * the verification scan.
 */
#include "engine_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "settings.h"

#define DRAIN_US 250000u /* a source is read that often while the consumer is late, so that its server never blocks */
#define RELEASE_LATE_US 2000000u /* encoders at rest wait so long for a scan to be closed with */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool has_changes(const struct se_engine *self)
{
	return self->layout_due || self->refresh || !se_region_empty(&self->dirty) || se_stripes_changed(&self->stripes) ||
	       se_engine_auto_changed(self);
}

static uint64_t scan_due(const struct se_engine *self)
{
	const struct se_source_vtable *vtable = self->source->vtable;

	if (self->settings.verify_interval_ms == 0 || !vtable->wants_scan || vtable->wants_scan(self->source) != 1)
		return SE_NEVER;
	return self->last_scan_us + (uint64_t)self->settings.verify_interval_ms * 1000u;
}

/* When a frame should be looked for next. */
static uint64_t work_due(const struct se_engine *self)
{
	bool is_auto = se_mode_is_tiled(self->settings.mode);
	uint64_t due = earlier(is_auto ? se_engine_auto_due(self) : se_engine_paint_due(self), scan_due(self));

	if (due != SE_NEVER)
		due = later(due, se_pace_spare(&self->pace));
	return earlier(due, se_pace_due(&self->pace));
}

/* True if the last frame has been taken. If not and `waiting`, the taker will wake this thread. */
static bool slot_is_free(struct se_engine *self, bool waiting)
{
	bool is_free;

	pthread_mutex_lock(&self->lock);
	is_free = self->slot_next == self->slot_count;
	self->waiting_for_take = waiting && !is_free;
	pthread_mutex_unlock(&self->lock);
	return is_free;
}

static void sleep_until(struct se_engine *self, uint64_t until, bool watch_source)
{
	struct pollfd fds[2] = { { self->wake_fd, POLLIN, 0 }, { -1, POLLIN, 0 } };
	struct timespec timeout, *limit = NULL;
	uint64_t count, now = se_now_us();

	if (watch_source)
		fds[1].fd = self->source->vtable->fd(self->source);
	if (until != SE_NEVER) {
		uint64_t rest = until > now ? until - now : 0;

		timeout = (struct timespec){ (time_t)(rest / 1000000u), (long)(rest % 1000000u) * 1000 };
		limit = &timeout;
	}
	if (ppoll(fds, 2, limit, NULL) > 0 && (fds[0].revents & POLLIN))
		while (read(self->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
			;
}

static void fail(struct se_engine *self, int code)
{
	pthread_mutex_lock(&self->lock);
	snprintf(self->failure_text, sizeof self->failure_text, "%.255s", se_error_message());
	self->failure_code = code;
	pthread_mutex_unlock(&self->lock);
	se_engine_signal(self->event_fd);
}

static void apply_settings(struct se_engine *self, const struct se_settings *wanted)
{
	bool other_form = !se_h264_same_form(se_settings_h264_form(wanted), se_settings_h264_form(&self->settings));
	bool other_codec = wanted->mode != self->settings.mode || other_form;

	se_pace_set_rate(&self->pace, wanted->framerate, se_now_us());
	se_engine_auto_switch(self, self->settings.mode, wanted->mode);
	self->settings = *wanted;
	if (other_codec)
		se_stripes_drop_encoders(&self->stripes);
	if (other_form)
		se_engine_auto_request_keys(self); /* their encoders are opened anew */
	self->layout_due = true; /* the stripes' height may be another */
}

static void arm_key_frames(struct se_engine *self, uint64_t now)
{
	/* Asked again within a second: stays asked for. */
	if (self->key_armed_us && now - self->key_armed_us < 1000000u)
		return;
	pthread_mutex_lock(&self->lock);
	if (self->key_frames_wanted) {
		self->key_frames_wanted = false;
		self->key_armed_us = now;
		for (int i = 0; i < self->stripes.count; i++)
			self->stripes.items[i].key_due = true;
		se_engine_auto_request_keys(self);
	}
	pthread_mutex_unlock(&self->lock);
}

/* Who is asked for a picture after a pause must have noticed first what has changed meanwhile. Locked. */
static bool may_answer(struct se_engine *self)
{
	if (self->layout_due)
		return false;
	if (self->catch_up == SE_CAUGHT_UNTAKEN && self->slot_next == self->slot_count)
		self->catch_up = SE_CAUGHT_UP;
	if (self->catch_up == SE_CAUGHT_UNTAKEN)
		self->waiting_for_take = true; /* the taker wakes this thread */
	return self->catch_up == SE_CAUGHT_UP;
}

static void set_pause(struct se_engine *self, bool paused)
{
	if (paused == self->paused)
		return;
	self->paused = paused;
	self->catch_up = paused ? SE_CAUGHT_UP : SE_CATCHING_UP;
	if (paused) {
		se_stripes_drop_encoders(&self->stripes);
		if (self->source->vtable->release)
			self->source->vtable->release(self->source);
		return;
	}
	/* Nobody who watches now has what pictures could refer to. */
	for (int i = 0; i < self->stripes.count; i++)
		self->stripes.items[i].key_due = true;
	se_engine_auto_request_keys(self);
}

static void handle_requests(struct se_engine *self, bool *stop)
{
	struct se_snapshot_request *request;
	struct se_settings wanted;
	bool changed, pause;
	uint32_t as_of;

	pthread_mutex_lock(&self->lock);
	*stop = self->stop;
	pause = self->pause_wanted;
	changed = self->settings_changed;
	self->settings_changed = false;
	wanted = self->wanted;
	if (self->paused && !pause)
		self->catch_up = SE_CATCHING_UP;
	request = self->snapshot && !self->snapshot->answered && may_answer(self) ? self->snapshot : NULL;
	as_of = self->taken_id;
	pthread_mutex_unlock(&self->lock);
	if (request) {
		se_engine_answer_snapshot(self, request, as_of);
		pthread_mutex_lock(&self->lock);
		request->answered = true;
		pthread_cond_broadcast(&self->answered);
		pthread_mutex_unlock(&self->lock);
	}
	if (changed)
		apply_settings(self, &wanted);
	set_pause(self, pause);
}

/* Without memory for a picture of this size, or to read the source, the engine tries again a period later. */
static int bear(struct se_engine *self, int code, uint64_t now)
{
	if (code != SE_E_NOMEM)
		return code;
	se_pace_hold(&self->pace, now + self->pace.period_us);
	se_pace_change(&self->pace, false, now);
	return se_engine_judge(self, code, se_error_message(), false);
}

static int work(struct se_engine *self, uint64_t now)
{
	bool scan = scan_due(self) <= now, reported = self->refresh || !se_region_empty(&self->dirty);
	bool waits = se_mode_is_tiled(self->settings.mode) && has_changes(self);
	uint64_t capture_us = reported ? earlier(self->dirty_since, now) : now;
	int code;

	if (reported || scan || waits) {
		code = se_engine_capture(self, scan, now);
		if (code == SE_E_AGAIN) {
			se_pace_empty(&self->pace, now);
			se_pace_change(&self->pace, false, now);
		}
		if (code < 0)
			return code == SE_E_AGAIN ? SE_OK : bear(self, code, now);
	}
	if (!se_mode_is_tiled(self->settings.mode))
		se_engine_let_go(self);
	arm_key_frames(self, now);
	code = se_mode_is_tiled(self->settings.mode) ? se_engine_auto_build(self, capture_us, now)
	                                            : se_engine_build(self, capture_us, now);
	if (code > 0)
		se_pace_frame(&self->pace, now);
	if (has_changes(self)) /* what a rate bound or a failure has left over */
		se_pace_change(&self->pace, false, now);
	else if (self->pace.waiting)
		se_pace_empty(&self->pace, now);
	return code < 0 ? code : SE_OK;
}

static void count_late_consumer(struct se_engine *self)
{
	if (self->drop_counted || !has_changes(self))
		return;
	self->drop_counted = true;
	pthread_mutex_lock(&self->lock);
	self->stats.dropped++;
	pthread_mutex_unlock(&self->lock);
}

static void count_wakeup(struct se_engine *self)
{
	pthread_mutex_lock(&self->lock);
	self->stats.wakeups++;
	pthread_mutex_unlock(&self->lock);
}

/* Nobody watches: the source is only read, and seldom where it changes all the time. */
static bool rest_paused(struct se_engine *self, uint64_t now)
{
	bool is_clean = !self->refresh && se_region_empty(&self->dirty);

	sleep_until(self, is_clean ? SE_NEVER : now + DRAIN_US, is_clean);
	count_wakeup(self);
	return is_clean;
}

/* Sleeps until there may be something to do; true if a change of the source would have ended it. */
static bool rest(struct se_engine *self, uint64_t now)
{
	struct se_pace_wait wait = se_pace_wait(&self->pace, now);
	uint64_t due = work_due(self), scan = scan_due(self), release;

	if (due <= now && !slot_is_free(self, true)) {
		count_late_consumer(self);
		due = now + DRAIN_US;
		wait = (struct se_pace_wait){ SE_NEVER, !self->pace.waiting };
	}
	release = se_stripes_release_encoders(&self->stripes, now);
	if (due <= now)
		return true;
	if (scan == SE_NEVER || scan > later(release, now) + RELEASE_LATE_US) /* else it is done with the scan */
		due = earlier(due, release);
	sleep_until(self, earlier(due, wait.until_us), wait.watch);
	count_wakeup(self);
	return wait.watch;
}

/* What has changed in the pause has been captured, if there was anything: a snapshot waits for no more than its being taken. */
static void note_caught(struct se_engine *self)
{
	if (self->catch_up != SE_CATCHING_UP)
		return;
	self->catch_up = SE_CAUGHT_UNTAKEN;
	se_engine_signal(self->wake_fd);
}

/* One wake-up: negative when the engine has failed, 1 when it shall stop. */
static int turn(struct se_engine *self)
{
	bool watched = self->paused ? rest_paused(self, se_now_us()) : rest(self, se_now_us()), stop;
	uint64_t now;
	int code;

	handle_requests(self, &stop);
	if (stop)
		return 1;
	now = se_now_us(); /* before the source is asked: what it reports later is not in a frame captured now */
	code = se_engine_read_source(self, watched, now);
	if (code == SE_OK && self->layout_due)
		code = se_engine_layout(self);
	if (code < 0)
		return bear(self, code, now);
	if (self->paused)
		return SE_OK;
	if (!has_changes(self))
		note_caught(self);
	if (work_due(self) > now || !slot_is_free(self, false))
		return SE_OK;
	self->drop_counted = false;
	code = work(self, now);
	note_caught(self);
	return code;
}

static void count_cpu(struct se_engine *self)
{
	pthread_mutex_lock(&self->lock);
	self->stats.cpu_ns = se_thread_cpu_ns() + self->helper_cpu_ns + self->asked_cpu_ns;
	pthread_mutex_unlock(&self->lock);
}

void *se_engine_main(void *argument)
{
	struct se_engine *self = argument;
	int code;

	pthread_setname_np(pthread_self(), "stripe-engine");
	self->last_scan_us = se_now_us();
	se_pace_init(&self->pace, self->settings.framerate);
	code = bear(self, se_engine_layout(self), self->last_scan_us);
	if (code == SE_OK)
		code = se_engine_read_source(self, true, self->last_scan_us);
	se_engine_let_go(self);
	while (code == SE_OK) {
		code = turn(self);
		se_engine_let_go(self);
		count_cpu(self);
	}
	if (code < 0)
		fail(self, code);
	se_stripes_drop_encoders(&self->stripes);
	se_auto_free(&self->automatic);
	pthread_mutex_lock(&self->lock);
	self->running = false;
	pthread_cond_broadcast(&self->answered);
	pthread_mutex_unlock(&self->lock);
	return NULL;
}
