/* engine_private.h - the inside of an engine, shared by engine*.c.
 *
 * engine.c           what callers on any thread may do: life cycle, take, settings, snapshot requests, counters
 * engine_loop.c      the engine's thread: waiting, pacing, when to do what
 * engine_source.c    what the source says
 * engine_capture.c   from damage to changed rectangles and the reference picture
 * engine_stripes.c   mode h264: from changed stripes and due paint-overs to ops
 * engine_frame.c     from ops to finished messages
 * engine_snapshot.c  the whole picture for a newcomer
 * engine_auto.c      modes jpeg, auto and lossless, which choose a form for each change (auto_mode.h)
 *
 * The reference picture holds, in mode h264, what was last captured, which is what viewers have once the finished messages
 * and the stripes' `changed` rectangles have reached them; in the others, what they have once the finished messages have. Encoders read it, never the source.
 */
#ifndef SE_ENGINE_PRIVATE_H
#define SE_ENGINE_PRIVATE_H

#include <pthread.h>
#include <sys/types.h>

#include "auto_mode.h"
#include "jobs.h"
#include "pace.h"
#include "source.h"
#include "stripes.h"

#define SE_NEVER UINT64_MAX

#define SE_REPAIR_MAX 1024 /* rectangles */

/* What has changed in a pause is in taken messages, or finished ones, or has not been captured. */
enum se_catch_up { SE_CAUGHT_UP, SE_CAUGHT_UNTAKEN, SE_CATCHING_UP };

struct se_snapshot_request {
	int quality; /* 0: the better of the settings' two */
	int shrink;  /* 1, or how many times fewer pixels each way */
	const struct se_rect *rects; /* what of the picture; NULL: all of it */
	size_t rect_count;
	uint32_t as_of;
	struct se_frame **frames;
	size_t count;
	int code;
	char text[160];
	bool answered;
};

struct se_engine {
	/* Constant after se_engine_new. */
	struct se_source *source;
	bool stamp;
	uint32_t epoch;
	int event_fd; /* tells the consumer */
	int wake_fd;  /* tells the engine's thread */
	pid_t pid;    /* the process that has the thread; a forked child must not touch it */

	/* Held while starting, stopping, and during a snapshot: one caller at a time. Taken before `lock`. */
	pthread_mutex_t life_lock;
	pthread_mutex_t snapshot_lock;
	pthread_t thread;
	bool started, joined; /* under life_lock */

	/* Guarded by lock; the engine's thread holds it only for moments. */
	pthread_mutex_t lock;
	pthread_cond_t answered; /* a snapshot is answered, or the thread has ended */
	bool running, stop;
	struct se_settings wanted;
	bool settings_changed;
	bool key_frames_wanted;
	bool pause_wanted;
	bool waiting_for_take; /* the thread has work but the consumer has not taken the last frame */
	struct se_frame **slot; /* finished messages not taken yet: slot_next .. slot_count */
	size_t slot_count, slot_next, slot_capacity;
	uint32_t taken_id; /* id of the last message taken */
	struct se_snapshot_request *snapshot;
	uint64_t asked_cpu_ns; /* what snapshots took of those who asked */
	int failure_code;
	char failure_text[256];
	struct se_cursor_copy *cursor; /* not asked for yet, or NULL */
	struct se_stats stats;

	struct se_engine *easel; /* what snapshots are encoded from; see engine_snapshot.c */

	/* The engine's thread only. */
	struct se_settings settings;
	struct se_picture reference;
	struct se_stripes stripes;
	struct se_jobs jobs;
	struct se_auto automatic; /* modes jpeg, auto and lossless; in h264 only its lists of a frame are used */
	bool copies_waiting;      /* the newest messages hold copies: who starts between them would copy twice */
	struct se_image image;   /* what was captured last; valid until the source is polled */
	struct se_region dirty;  /* may have changed since the last capture */
	uint64_t dirty_since;    /* when it became non-empty */
	uint64_t glimpsed_us;    /* since when there is damage that was not asked for; 0: there is none */
	bool paused;             /* changes are noted, nothing else */
	enum se_catch_up catch_up; /* after a pause; snapshots wait for it */
	bool layout_due;         /* reference and stripes do not fit source and settings yet: there was no memory */
	bool refresh;            /* everything is to be sent: start or resize */
	bool resized;            /* the next message carries RESIZED */
	struct se_pace pace;     /* when a frame is made */
	uint64_t last_scan_us;
	uint64_t key_armed_us;   /* when key frames were last asked of all stripes */
	uint32_t frame_id;       /* of the last finished message */
	uint64_t helper_cpu_ns;
	uint32_t latency_next;   /* frames whose latency was noted */
	int failures_in_a_row;   /* weighted, see judge() */
	bool drop_counted;       /* this delay is in stats.dropped already */
};

/* Both descriptors are eventfds. */
void se_engine_signal(int fd);

/* engine_loop.c */
void *se_engine_main(void *engine);

/* engine_source.c: takes over what has changed and tells the pace. `fresh`: it has just happened, for it was waited for. */
int se_engine_read_source(struct se_engine *self, bool fresh, uint64_t now);

/* engine_capture.c: compares the source with the reference inside `dirty` (everything if refresh or scan) and notes what
 * has changed in the stripes. In h264 the reference is brought up to date; in the others `image` has all rows
 * of what has changed or waits to be sent. SE_E_AGAIN: nothing lost, try again in a while; other codes: the source is dead. */
int se_engine_capture(struct se_engine *self, bool scan, uint64_t now);

/* The captured image is not looked at any more: its source need not stand still. What is encoded is in the reference. */
void se_engine_let_go(struct se_engine *self);

/* Takes over the source's size and the settings' stripe height. After SE_E_NOMEM layout_due is set: nothing may be captured
 * or encoded before it has succeeded. */
int se_engine_layout(struct se_engine *self);

/* engine_stripes.c, mode h264: encodes what has changed and which paint-overs are due, and hands out the messages. Returns 1 if there was
 * anything to encode, 0 if not, a negative code when it has failed for good. */
int se_engine_build(struct se_engine *self, uint64_t capture_us, uint64_t begun_us);

/* When the next paint-over is due, or SE_NEVER. */
uint64_t se_engine_paint_due(const struct se_engine *self);

/* engine_frame.c */

/* Packs ops into messages and hands them out; `changed` notes the latency. Returns how many ops are in them; of fewer than
 * `count`, *code tells why. *bytes is the messages' size. */
size_t se_engine_send(struct se_engine *self, const struct se_op *ops, size_t count, uint64_t capture_us,
                      uint64_t begun_us, bool changed, int *code, size_t *bytes);

/* Failures are retried with the next frame, until there were too many in a row: then negative. `code` is that of one of the
 * failures, `partial` that something was sent all the same. */
int se_engine_judge(struct se_engine *self, int code, const char *text, bool partial);

/* engine_auto.c: as se_engine_build, for the other modes. */
int se_engine_auto_build(struct se_engine *self, uint64_t capture_us, uint64_t now);

/* When there is something to do though nothing has changed, or SE_NEVER; true if something waits to be sent. */
uint64_t se_engine_auto_due(const struct se_engine *self);
bool se_engine_auto_changed(const struct se_engine *self);

/* What waits to be sent, as one rectangle: its pixels are to be captured anew. */
struct se_rect se_engine_auto_waiting(const struct se_engine *self);

/* The picture has another size; the mode is another (called with the stripes as they were); key frames are wanted. */
void se_engine_auto_resized(struct se_engine *self);
void se_engine_auto_switch(struct se_engine *self, int from, int to);
void se_engine_auto_request_keys(struct se_engine *self);

/* Empties the lists of a frame. */
void se_engine_auto_clear(struct se_engine *self);

/* auto_snapshot.c: encodes that part of the picture as of the last finished message; the ops are in automatic.ops. */
int se_engine_auto_snapshot(struct se_engine *self, struct se_rect rect, int quality);

/* engine_snapshot.c. By who asks, holding snapshot_lock: makes sure that there is an easel, for a picture of about that size. */
int se_engine_prepare_easel(struct se_engine *self, int width, int height);

/* Engine thread: copies what is asked for to the easel, as of the last message taken or a newer one. */
void se_engine_answer_snapshot(struct se_engine *self, struct se_snapshot_request *request, uint32_t as_of);

/* By who asks, once it is answered: encodes it. On failure request->text says why. */
int se_engine_encode_snapshot(struct se_engine *self, struct se_snapshot_request *request);

void se_engine_free_easel(struct se_engine *self);

#endif
