/* viewer.h - a strict client in C: checks every message against docs/protocol.md and draws all but its H.264.
 * One thread. */
#ifndef VIEWER_H
#define VIEWER_H

#include "picture.h"

struct se_engine;

struct viewer {
	struct se_picture picture;
	uint32_t epoch, frame_id;
	bool more; /* in the middle of a snapshot */
	uint64_t messages, bytes, ops, h264_ops, key_frames, final_ops, kinds[6];
	bool stream_alive[16]; /* has had a key frame at this size */
	int stream_width[16], stream_height[16];
	void *jpeg;
};

void viewer_open(struct viewer *self);
void viewer_close(struct viewer *self);

/* Applies a frame that must follow directly on the one before, or a snapshot. */
void viewer_apply(struct viewer *self, const uint8_t *data, size_t size);

/* Takes an engine's messages and applies them until nothing has come for `quiet_ms`; returns how many. Its own memory never
 * fails (failing.h). */
int viewer_follow(struct viewer *self, struct se_engine *engine, int quiet_ms);

/* Largest difference of a colour channel to a BGRX picture of the same size. */
int viewer_difference(const struct viewer *self, const struct se_picture *other);

#endif
