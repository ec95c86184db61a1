/* engine.c - what callers on any thread may do with an engine. Only stop and snapshot block. */
#include "engine_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"

void se_source_free(struct se_source *source)
{
	if (source)
		source->vtable->destroy(source);
}

void se_engine_signal(int fd)
{
	uint64_t one = 1;
	ssize_t written;

	/* EAGAIN: the counter is full, so the reader has plenty to read already. */
	do
		written = write(fd, &one, sizeof one);
	while (written < 0 && errno == EINTR);
}

static uint32_t random_epoch(void)
{
	uint32_t epoch = 0;

	while (epoch == 0)
		if (getrandom(&epoch, sizeof epoch, 0) != (ssize_t)sizeof epoch)
			epoch = (uint32_t)(se_now_us() ^ ((uint64_t)getpid() << 20));
	return epoch;
}

struct se_engine *se_engine_new(struct se_source *source, const struct se_settings *settings, int stamp)
{
	struct se_engine *self;

	if (!source) {
		se_error_set(SE_E_INVALID, "an engine needs a source");
		return NULL;
	}
	if (se_settings_check(settings) < 0)
		return NULL;
	self = calloc(1, sizeof *self);
	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: an engine");
		return NULL;
	}
	self->source = source;
	self->stamp = stamp != 0;
	self->epoch = random_epoch();
	self->pid = getpid();
	self->wanted = *settings;
	self->settings = *settings;
	pthread_mutex_init(&self->life_lock, NULL);
	pthread_mutex_init(&self->snapshot_lock, NULL);
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->answered, NULL);
	self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (self->event_fd < 0 || self->wake_fd < 0) {
		se_error_system("an engine needs two eventfds");
		se_engine_free(self);
		return NULL;
	}
	return self;
}

int se_engine_start(struct se_engine *self)
{
	sigset_t all, before;
	int code = SE_OK, error;

	if (self->pid != getpid())
		return se_error_set(SE_E_STATE, "an engine does not survive fork: make a new one in the child process");
	pthread_mutex_lock(&self->life_lock);
	if (self->joined) {
		code = se_error_set(SE_E_STATE, "this engine is closed: make a new one");
	} else if (!self->started) {
		self->running = true;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the application's threads */
		error = pthread_create(&self->thread, NULL, se_engine_main, self);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		self->started = error == 0;
		if (error) {
			self->running = false;
			errno = error;
			code = se_error_system("the engine's thread could not be started");
		}
	}
	pthread_mutex_unlock(&self->life_lock);
	return code;
}

int se_engine_stop(struct se_engine *self)
{
	if (self->pid != getpid())
		return SE_OK;
	pthread_mutex_lock(&self->life_lock);
	pthread_mutex_lock(&self->lock);
	self->stop = true;
	pthread_mutex_unlock(&self->lock);
	if (self->started && !self->joined) {
		se_engine_signal(self->wake_fd);
		pthread_join(self->thread, NULL);
	}
	self->joined = true;
	pthread_mutex_unlock(&self->life_lock);
	return SE_OK;
}

void se_engine_free(struct se_engine *self)
{
	if (!self || self->pid != getpid())
		return;
	se_engine_stop(self);
	for (size_t i = self->slot_next; i < self->slot_count; i++)
		se_frame_unref(self->slot[i]);
	free(self->slot);
	se_cursor_copy_free(self->cursor);
	se_auto_free(&self->automatic);
	se_engine_free_easel(self);
	se_jobs_free(&self->jobs);
	se_stripes_free(&self->stripes);
	se_picture_free(&self->reference);
	if (self->event_fd >= 0)
		close(self->event_fd);
	if (self->wake_fd >= 0)
		close(self->wake_fd);
	pthread_cond_destroy(&self->answered);
	pthread_mutex_destroy(&self->lock);
	pthread_mutex_destroy(&self->snapshot_lock);
	pthread_mutex_destroy(&self->life_lock);
	free(self);
}

int se_engine_fd(const struct se_engine *self)
{
	return self->event_fd;
}

uint32_t se_engine_epoch(const struct se_engine *self)
{
	return self->epoch;
}

int se_engine_update(struct se_engine *self, const struct se_settings *settings)
{
	int code = se_settings_check(settings);

	if (code < 0)
		return code;
	pthread_mutex_lock(&self->lock);
	self->wanted = *settings;
	self->settings_changed = true;
	pthread_mutex_unlock(&self->lock);
	se_engine_signal(self->wake_fd);
	return SE_OK;
}

void se_engine_request_key_frames(struct se_engine *self)
{
	/* No wake-up: what stands still is not sent for it. */
	pthread_mutex_lock(&self->lock);
	self->key_frames_wanted = true;
	pthread_mutex_unlock(&self->lock);
}

int se_engine_failure(struct se_engine *self, int *code, const char **text)
{
	int failed;

	pthread_mutex_lock(&self->lock);
	failed = self->failure_code < 0;
	*code = self->failure_code;
	*text = self->failure_text; /* written once, before the code */
	pthread_mutex_unlock(&self->lock);
	return failed;
}

struct se_frame *se_engine_take(struct se_engine *self)
{
	struct se_frame *frame = NULL;
	bool more = false, wake = false;

	pthread_mutex_lock(&self->lock);
	if (self->slot_next < self->slot_count) {
		frame = self->slot[self->slot_next++];
		self->taken_id = se_frame_id(frame);
		more = self->slot_next < self->slot_count;
		if (!more) {
			wake = self->waiting_for_take;
			self->waiting_for_take = false;
		}
	}
	pthread_mutex_unlock(&self->lock);
	if (more)
		se_engine_signal(self->event_fd);
	if (wake)
		se_engine_signal(self->wake_fd);
	if (frame && self->stamp)
		se_frame_stamp(frame, se_now_us());
	return frame;
}

static int ask(struct se_engine *self, struct se_snapshot_request *request, struct se_frame ***out, size_t *count)
{
	int code = SE_OK, width, height;

	*out = NULL;
	*count = 0;
	if (request->quality < 0 || request->quality > 100)
		return se_error_set(SE_E_INVALID, "a snapshot's quality must be between 1 and 100, not %d", request->quality);
	if (self->pid != getpid())
		return se_error_set(SE_E_STATE, "an engine does not survive fork: make a new one in the child process");
	pthread_mutex_lock(&self->snapshot_lock);
	pthread_mutex_lock(&self->lock);
	width = self->stats.width;
	height = self->stats.height;
	pthread_mutex_unlock(&self->lock);
	code = se_engine_prepare_easel(self, width, height);
	pthread_mutex_lock(&self->lock);
	if (self->running && code == SE_OK) {
		self->snapshot = request;
		se_engine_signal(self->wake_fd);
		while (!request->answered && self->running)
			pthread_cond_wait(&self->answered, &self->lock);
		self->snapshot = NULL;
	}
	if (!request->answered && code == SE_OK)
		code = se_error_set(SE_E_STATE, self->failure_code < 0 ? "no snapshot: the engine has failed: %.200s"
		                                                       : "no snapshot: the engine is not running%.0s",
		                    self->failure_text);
	pthread_mutex_unlock(&self->lock);
	if (code == SE_OK && request->code == SE_OK)
		request->code = se_engine_encode_snapshot(self, request);
	pthread_mutex_unlock(&self->snapshot_lock);
	if (code == SE_OK && request->code < 0)
		code = se_error_set(request->code, "no snapshot: %s", request->text);
	if (code == SE_OK) {
		*out = request->frames;
		*count = request->count;
	}
	return code;
}

int se_engine_snapshot(struct se_engine *self, int quality, struct se_frame ***out, size_t *count)
{
	struct se_snapshot_request request = { .quality = quality, .shrink = 1 };

	return ask(self, &request, out, count);
}

int se_engine_repair(struct se_engine *self, int quality, int shrink, const struct se_rect *rects, size_t rect_count,
                     struct se_frame ***out, size_t *count)
{
	struct se_snapshot_request request = { .quality = quality, .shrink = shrink, .rects = rects, .rect_count = rect_count };

	*out = NULL;
	*count = 0;
	if (shrink != 1 && shrink != 2 && shrink != 4)
		return se_error_set(SE_E_INVALID, "a repair is shrunk by 1, 2 or 4, not %d", shrink);
	if (!rects || rect_count == 0 || rect_count > SE_REPAIR_MAX)
		return se_error_set(SE_E_INVALID, "a repair is of 1 to %d rectangles, not %zu", SE_REPAIR_MAX, rect_count);
	return ask(self, &request, out, count);
}

void se_engine_pause(struct se_engine *self, int paused)
{
	pthread_mutex_lock(&self->lock);
	self->pause_wanted = paused != 0;
	pthread_mutex_unlock(&self->lock);
	se_engine_signal(self->wake_fd);
}

struct se_cursor_copy *se_engine_cursor(struct se_engine *self)
{
	struct se_cursor_copy *cursor;

	pthread_mutex_lock(&self->lock);
	cursor = self->cursor;
	self->cursor = NULL;
	pthread_mutex_unlock(&self->lock);
	return cursor;
}

void se_cursor_copy_free(struct se_cursor_copy *cursor)
{
	if (!cursor)
		return;
	free(cursor->rgba);
	free(cursor);
}

void se_engine_stats(struct se_engine *self, struct se_stats *out)
{
	pthread_mutex_lock(&self->lock);
	*out = self->stats;
	pthread_mutex_unlock(&self->lock);
}
