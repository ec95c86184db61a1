/* decl_x11.h - the X11 part of the public declarations, in the subset of C that cffi parses (see decl.h). */

/* ---- where an X server is ---- */

/* Either `display` (":0", "host:1.0"; cookie from the Xauthority file) or `socket` (path of a Unix socket, with an
 * explicit cookie or none). Read during the call only. */
struct se_x11_address {
	const char *display;
	const char *socket;      /* NULL: use display */
	const char *auth_name;   /* NULL: no authorization is sent */
	const uint8_t *auth_data;
	size_t auth_size;
};

/* ---- the screen, or a part of it, as a picture source ---- */

/* A rectangle of the root window, or a monitor of RandR 1.5 by name; neither (w 0 and NULL): the whole root. A rectangle is cut
 * to the root and grows back with it, a monitor is followed wherever it goes. Read during the call only. */
struct se_x11_part {
	struct se_rect rect;
	const char *monitor;
};

/* Opens a source; `part` may be NULL: the whole root. `framebuffer` is a descriptor of the file in which the server keeps its screen
 * (Xvfb -fbdir), sealed against shrinking, or -1; it may be closed afterwards. Pixels are read there, without a copy; where that is
 * not possible, the server is asked. Blocks for about ten round trips. Afterwards one thread at a time may use it (source.h).
 * NULL on failure, with a text that names cause and remedy. Free with se_source_free. */
struct se_source *se_x11_source_new(const struct se_x11_address *address, const struct se_x11_part *part, int framebuffer);

/* 1 if pixels are read from the framebuffer, 0 if the server is asked. */
int se_x11_source_direct(struct se_source *source);

/* Where the picture's first pixel lies on the root window, as of the last poll. Any thread, also while an engine uses it. */
void se_x11_source_origin(struct se_source *source, int *x, int *y);

/* ---- input by XTest, on a connection of its own ---- */

/* One thread at a time. Requests are only queued: se_x11_input_flush sends them, and may wait while the server's socket is
 * full. Functions that read or change the keymap wait for one round trip. */
struct se_x11_input;

/* Connects; blocks for a few round trips. NULL on failure. */
struct se_x11_input *se_x11_input_new(const struct se_x11_address *address);

/* Lets go of every key and button this object holds, sends that, and disconnects. NULL is allowed. */
void se_x11_input_free(struct se_x11_input *self);

/* From now on coordinates count from (x, y) of the root window, 0...32767: the origin of a source that shows a part of it. */
int se_x11_input_offset(struct se_x11_input *self, int x, int y);

/* Pointer to (x, y) from the offset, 0...32767; the server clips to the screen. */
int se_x11_input_move(struct se_x11_input *self, int x, int y);

/* X button 1...255 (1 left, 2 middle, 3 right, 4-7 wheel, 8 back, 9 forward) pressed or released. */
int se_x11_input_button(struct se_x11_input *self, int button, int down);

/* Keycode pressed or released; must be one of se_x11_input_keycodes. */
int se_x11_input_key(struct se_x11_input *self, int keycode, int down);

/* Sends what is queued and reads what came: notices of keymap changes, and the end of the server. */
int se_x11_input_flush(struct se_x11_input *self);

/* Lets go of every key and button this object holds, and flushes. */
int se_x11_input_release(struct se_x11_input *self);

/* First and last keycode of the server. */
void se_x11_input_keycodes(const struct se_x11_input *self, int *first, int *last);

/* Reads the keymap: *per keysyms for each keycode from first to last, in order. SE_E_INVALID if more than `capacity`;
 * 256 * 255 always fit. */
int se_x11_input_keymap(struct se_x11_input *self, uint32_t *keysyms, size_t capacity, int *per);

/* Reads which keycodes are modifiers: 8 groups (Shift, Lock, Control, Mod1-5) of *per keycodes, 0 for none. 8 * 255 fit. */
int se_x11_input_modifiers(struct se_x11_input *self, uint8_t *keycodes, size_t capacity, int *per);

/* Gives a keycode `count` (1...255) keysyms; returns when the server has told every client. */
int se_x11_input_bind(struct se_x11_input *self, int keycode, const uint32_t *keysyms, int count);

/* Where the pointer is from the offset (negative before it), and the modifiers and buttons that are down (X's KeyButMask). */
int se_x11_input_pointer(struct se_x11_input *self, int *x, int *y, int *state);

/* Grows with each keymap change seen by flush or bind, by whomever; when it has moved, read the keymap again. */
uint32_t se_x11_input_keymap_serial(const struct se_x11_input *self);

/* ---- what a server offers ---- */

struct se_x11_version {
	int present;
	uint32_t major, minor;
};

struct se_x11_monitor {
	char name[128];
	struct se_rect rect; /* on the root window */
	int primary;
};

struct se_x11_probe {
	char vendor[64];
	int width, height, depth;
	int pixels_usable;  /* 1 if the source can read its pixel format */
	int memory;         /* 2: takes passed descriptors, 1: System V segments, 0: neither */
	struct se_x11_version shm, damage, xfixes, randr, xtest;
	int monitor_count;  /* 0 without RandR 1.5; those past 16 are left out */
	struct se_x11_monitor monitors[16];
};

/* Connects, looks, disconnects. Negative only if there is no connection. */
int se_x11_probe(const struct se_x11_address *address, struct se_x11_probe *out);

/* ---- direct access to an X source, for tools and tests, while no engine uses it ---- */

/* As the functions of source.h. `rects` gets up to `capacity` damaged rectangles, *count how many; 64 always fit. Returns
 * SE_SOURCE_* bits: 1 damage, 2 resized, 4 cursor. */
int se_x11_source_poll(struct se_source *source, struct se_rect *rects, size_t capacity, size_t *count);
int se_x11_source_fd(struct se_source *source);
void se_x11_source_size(struct se_source *source, int *width, int *height);

/* Copies rows [y0, y1) as BGRX into `out`, width * 4 bytes a row: as of now, or, where the server is asked and this is the first read
 * after a poll, as of then. SE_E_INVALID unless `size` is exactly that many bytes. */
int se_x11_source_read(struct se_source *source, int y0, int y1, uint8_t *out, size_t size);

/* The pointer image: serial, width, height, hot_x and hot_y into info[5], RGBA into `rgba`; 256 * 256 * 4 bytes suffice. */
int se_x11_source_cursor(struct se_source *source, uint32_t *info, uint8_t *rgba, size_t size);
