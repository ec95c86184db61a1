/* stripes.h - the picture cut into horizontal stripes, and what each still owes the viewers.
 *
 * Engine thread only; while a batch runs, each stripe is touched by one pool thread.
 */
#ifndef SE_STRIPES_H
#define SE_STRIPES_H

#include "encoder_h264.h"
#include "settings.h"

#define SE_STRIPE_RECTS 4            /* rectangles kept apart within a stripe */
#define SE_STRIPE_SLACK 4096         /* pixels an op of its own is worth: tables, record, decode */
#define SE_STRIPE_FOREIGN 100        /* worse than every rate factor */
#define SE_ENCODER_KEEP_US 3000000u  /* an encoder at rest for that long is closed */

struct se_stripe {
	int y, h;
	struct se_region changed; /* captured, not sent yet */
	struct se_region lossy;   /* mode h264: sent, and worth a paint-over */
	int lossy_crf;            /* the worst it was sent with, or SE_STRIPE_FOREIGN */
	struct se_region unfed;   /* mode h264: changed since the encoder's last picture, and sent in another form */
	int painted_x;            /* mode h264: columns before that are painted over in the colours of painted_as */
	int painting_x;           /* the same once the frame being made is sent; 0: it paints none */
	uint8_t painted_as;       /* enum se_paint_colour */
	double rate;              /* mode h264: how often a second all of it changes, as of rate_us */
	uint64_t rate_us;
	uint64_t changed_us;      /* when it last differed */
	uint64_t hash;            /* of the rows at the last scan, if hash_valid: they equalled the reference then and it has
	                             not been written since */
	bool hash_valid;
	struct se_h264 *encoder;  /* NULL at rest and in other modes than h264 */
	uint64_t encoder_used_us;
	bool key_due;             /* the next picture is a key frame */
};

struct se_stripes {
	struct se_stripe *items;
	int count, height;
	int width, picture_height;
};

/* Cuts a picture anew; what was changed or lossy stays so (unless `fresh`), encoders are closed. On failure nothing
 * has changed. */
int se_stripes_layout(struct se_stripes *self, int width, int picture_height, int stripe_height, bool fresh);
void se_stripes_free(struct se_stripes *self);

/* Closes all encoders: the mode or the chroma is another. */
void se_stripes_drop_encoders(struct se_stripes *self);

/* Closes the encoders unused since SE_ENCODER_KEEP_US; returns when all of the others will be, or UINT64_MAX: one wake-up
 * closes those that are at rest. */
uint64_t se_stripes_release_encoders(struct se_stripes *self, uint64_t now);

static inline struct se_rect se_stripe_rect(const struct se_stripes *self, const struct se_stripe *stripe)
{
	return (struct se_rect){ 0, stripe->y, self->width, stripe->h };
}

bool se_stripes_changed(const struct se_stripes *self);

void se_stripe_add_changed(struct se_stripe *self, struct se_rect rect);

/* Notes that `rect` was sent with that rate factor, or in another mode (SE_STRIPE_FOREIGN), which a paint-over can better. */
void se_stripe_add_lossy(struct se_stripe *self, struct se_rect rect, int crf);

/* True if the stripe has lossy pixels that a paint-over with these settings would better: that is a key frame. */
bool se_stripe_wants_paint(const struct se_stripe *self, const struct se_settings *settings);

/* True if, after that, a paint-over in better colours than the stream's is due. */
bool se_stripe_wants_colour(const struct se_stripe *self, const struct se_settings *settings, int width);

/* True if all of `rect` (not empty) has been painted over exactly. */
bool se_stripes_are_exact(const struct se_stripes *self, struct se_rect rect);

#endif
