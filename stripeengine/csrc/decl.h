/* decl.h - the library's public declarations, in the subset of C that cffi parses.
 *
 * No preprocessor lines here: _build.py hands this text to cffi as it is, stripeengine.h includes it for C.
 * Unless a comment says otherwise a function returns 0 or a positive value on success and a negative SE_E_* code on
 * failure, and se_error_message() of the same thread then says in a sentence what happened.
 */

enum se_error {
	SE_OK = 0,
	SE_E_NOMEM = -1,       /* out of memory */
	SE_E_INVALID = -2,     /* a value out of its range */
	SE_E_SYSTEM = -3,      /* a system call failed */
	SE_E_SOURCE = -4,      /* the picture source could not be opened, or died */
	SE_E_ENCODER = -5,     /* a codec library failed */
	SE_E_UNSUPPORTED = -6, /* not compiled in, or not offered by the server */
	SE_E_STATE = -7,       /* not possible now: not started, closed, failed */
	SE_E_AGAIN = -8        /* a source's grab failed for the moment (a resize is under way): try again */
};

struct se_rect {
	int x, y, w, h;
};

/* A picture source; source.h has its contract. */
struct se_source;

/* Frees a source of any kind. No engine may use it any more. NULL is allowed. */
void se_source_free(struct se_source *source);

/* The text that belongs to the last negative code returned on this thread; never NULL, valid until the next failure. */
const char *se_error_message(void);

/* ---- settings: EngineSettings of settings.py, field by field ---- */

enum se_mode {
	SE_MODE_JPEG = 0,
	SE_MODE_H264 = 1,
	SE_MODE_AUTO = 2,
	SE_MODE_LOSSLESS = 3
};

enum se_colour_range {
	SE_RANGE_LIMITED = 0, /* luma 16..235, chroma 16..240 */
	SE_RANGE_FULL = 1     /* 0..255 */
};

enum se_paint_colour {
	SE_PAINT_SAME = 0, /* as `chroma` */
	SE_PAINT_444 = 1,  /* JPEG in full colour resolution */
	SE_PAINT_RGB = 2   /* exact pixels */
};

struct se_settings {
	int mode;   /* enum se_mode */
	int chroma; /* 420 or 444 */
	int framerate;
	int jpeg_quality;
	int paint_over; /* 0 or 1 */
	int paint_over_jpeg_quality;
	int paint_over_trigger_frames;
	int h264_crf;
	int paint_over_crf;
	int stripe_height; /* 0: chosen by mode */
	int verify_interval_ms;
	int lossless_when_still; /* 0 or 1; auto */
	int repair_delay_ms;     /* auto */
	int max_kbps;            /* all modes but h264; 0: no bound */
	int colour_space;        /* H.264: 709 or 601 */
	int colour_range;        /* H.264: enum se_colour_range */
	int paint_over_colour;   /* enum se_paint_colour */
	int motion_coarser;      /* rate factor; all modes but lossless */
};

/* 1 if the library was built with x264, else 0. */
int se_has_h264(void);

/* ---- the engine ---- */

struct se_engine;

/* An engine over `source`, which it borrows: the source outlives the engine and serves no other one meanwhile.
 * With `stamp`, publish_us of a message is written when it is taken. NULL on failure. Does not start the thread. */
struct se_engine *se_engine_new(struct se_source *source, const struct se_settings *settings, int stamp);

/* Stops and joins the thread, then frees everything. Frames in the caller's hands stay valid. In a forked child the
 * thread does not exist: nothing is touched and the memory is left alone. NULL is allowed. */
void se_engine_free(struct se_engine *engine);

/* Starts the thread. Starting twice is harmless. */
int se_engine_start(struct se_engine *engine);

/* Stops and joins the thread; the engine cannot be started again. Stopping twice is harmless. */
int se_engine_stop(struct se_engine *engine);

/* An eventfd, readable when a frame, a cursor or a failure is waiting. Owned by the engine. */
int se_engine_fd(const struct se_engine *engine);

uint32_t se_engine_epoch(const struct se_engine *engine);

/* Other settings from the next frame on. Any thread. */
int se_engine_update(struct se_engine *engine, const struct se_settings *settings);

/* The next H.264 picture of every stripe is a key frame; served at most once a second. Any thread. */
void se_engine_request_key_frames(struct se_engine *engine);

/* 1 and the text if the engine failed for good, else 0. The text lives as long as the engine. */
int se_engine_failure(struct se_engine *engine, int *code, const char **text);

/* ---- frames: one wire message each, reference-counted ---- */

struct se_frame;

/* The next finished frame, or NULL. Until the last one is taken no other is made: damage merges. The caller owns one reference. Any thread, never blocks. */
struct se_frame *se_engine_take(struct se_engine *engine);

/* Encodes the picture as of the last frame taken; *count messages are stored in *out, which the caller frees with
 * se_frames_free. `quality` 1..100, or 0 for the better of the settings' two. Blocks for one encode, on this thread. */
int se_engine_snapshot(struct se_engine *engine, int quality, struct se_frame ***out, size_t *count);

/* As se_engine_snapshot, of 1..1024 rectangles alone, cut to the picture: at least one message marked PARTIAL for each that is not
 * empty then, in their order, or one without ops. `shrink` 1: in the forms of a snapshot; 2 or 4: JPEG of so many times fewer pixels each way. */
int se_engine_repair(struct se_engine *engine, int quality, int shrink, const struct se_rect *rects, size_t rect_count,
                     struct se_frame ***out, size_t *count);

/* While paused nothing is captured or encoded and no scan is made; changes are only noted. A snapshot or repair asked for after the
 * pause waits until what has changed meanwhile is captured. Any thread. */
void se_engine_pause(struct se_engine *engine, int paused);

void se_frames_free(struct se_frame **frames, size_t count);
void se_frame_unref(struct se_frame *frame);
uint8_t *se_frame_data(struct se_frame *frame);
size_t se_frame_size(const struct se_frame *frame);

/* ---- cursor and counters ---- */

struct se_cursor_copy {
	uint32_t serial;
	uint16_t width, height; /* 0 x 0: hidden */
	uint16_t hot_x, hot_y;
	uint8_t *rgba; /* width * height * 4 */
};

/* The newest pointer image if it changed since this was last asked, else NULL; free with se_cursor_copy_free. */
struct se_cursor_copy *se_engine_cursor(struct se_engine *engine);
void se_cursor_copy_free(struct se_cursor_copy *cursor);

struct se_stats {
	uint64_t frames;  /* wire messages finished */
	uint64_t ops;
	uint64_t bytes;
	uint64_t dropped; /* captures put off because the frame before was not taken: their damage merged */
	uint64_t wakeups; /* of the engine thread */
	uint64_t scans;   /* verification scans */
	uint64_t cpu_ns;  /* of the engine thread and of its share in the pool, without x264's second thread for large videos */
	int width, height;
	uint32_t latency_count; /* valid entries below, at most 1024 */
	uint32_t latency_us[1024]; /* damage seen to frame ready, of the last frames, in no particular order */
};

void se_engine_stats(struct se_engine *engine, struct se_stats *out);

/* ---- sources without a server ---- */

enum se_format {
	SE_FORMAT_RGB = 0,  /* R,G,B */
	SE_FORMAT_RGBX = 1, /* R,G,B,X */
	SE_FORMAT_BGRX = 2  /* B,G,R,X */
};

/* A framebuffer that the caller fills; black at first. NULL on failure. */
struct se_source *se_framebuffer_source_new(int width, int height);

/* Copies the picture (inside the `count` rectangles only; everything if rects is NULL) and tells the engine.
 * `size` must be that of a whole picture without gaps. Any thread. */
int se_framebuffer_source_submit(struct se_source *source, const uint8_t *pixels, size_t size, int format,
                                 const struct se_rect *rects, size_t count);

/* Another size; the picture is black until the next submit. Any thread. */
int se_framebuffer_source_resize(struct se_source *source, int width, int height);

/* Reports the source as dead with that text, as a server that went away would be. Any thread. */
int se_framebuffer_source_fail(struct se_source *source, const char *text);

enum se_pattern {
	SE_PATTERN_STILL = 0,
	SE_PATTERN_SCROLL = 1,
	SE_PATTERN_BOUNCE = 2,
	SE_PATTERN_NOISE = 3
};

/* A picture that draws itself `framerate` times a second. NULL on failure. */
struct se_source *se_pattern_source_new(int width, int height, int pattern, int framerate);
