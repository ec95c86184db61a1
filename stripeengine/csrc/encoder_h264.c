/* encoder_h264.c - one H.264 stream through x264.
 *
 * x264 is told each picture's quantizer. Its own rate factor looks at every picture twice (a half-size copy and a motion
 * search in it, a fifth of the time at this preset); what the pictures before have cost says the same for nothing.
 */
#include "encoder_h264.h"

#ifndef SE_WITH_X264
#define SE_WITH_X264 1
#endif

int se_has_h264(void)
{
	return SE_WITH_X264;
}

#if SE_WITH_X264

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <x264.h>

#include "frame.h"

#define QUANTIZER_WORST 51
#define SMALL_PIXELS 262144   /* up to here CABAC costs little and saves bytes */
#define HUGE_PIXELS 4194304   /* from here on time is what is scarce: motion is searched to whole pixels, and more slices share the work */
#define CHROMA_FINER 4        /* steps of the quantizer: coloured edges suffer from 4:2:0 already */
#define CODED_NORMAL 60.0     /* bits x quantizer step of a macroblock that gets the rate factor itself as quantizer */
#define CODED_NORMAL_LARGE 66.0 /* the same of a large video: 0.2 dB for 2 % of its bytes */
#define CODED_NORMAL_HUGE 58.0  /* of a huge one: what the coarser search loses is not made up for, bytes are scarce too */
#define CODED_STEPS 2.4       /* of the quantizer for twice as much: x264's 6 x (1 - qcomp) */
#define COARSER_MOST 10
#define FINER_MOST 6
#define MESSAGE_MOST (SE_FRAME_MAX - SE_FRAME_HEADER - SE_FRAME_RECORD)

/* libx264 keeps tables of its own: two concurrent opens corrupt the heap. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

struct se_h264 {
	x264_t *x264;
	x264_param_t parameters;
	x264_picture_t picture; /* planes persist: only what changed is converted */
	int width, height;      /* visible */
	int coded_width, coded_height;
	struct se_h264_form form;
	int64_t pictures;
	double coded, coded_weight; /* bits x quantizer step a macroblock of the delta pictures so far, the latest counting most */
	uint8_t *lines; /* two rows of coded_width BGRX pixels, for the repeated right edge */
};

static bool is_small(int width, int height)
{
	return width * height <= SMALL_PIXELS;
}

static bool is_huge(int width, int height)
{
	return width * height >= HUGE_PIXELS;
}

static int set_parameters(x264_param_t *p, int width, int height, struct se_h264_form form, int framerate)
{
	bool small = is_small(width, height), huge = is_huge(width, height);

	if (x264_param_default_preset(p, "ultrafast", "zerolatency") < 0)
		return -1;
	p->i_log_level = X264_LOG_NONE;
	p->i_threads = small ? 1 : huge ? 4 : 2; /* a slice each: nobody waits longer for a picture than he must */
	p->b_sliced_threads = !small;
	p->i_width = width;
	p->i_height = height;
	p->i_csp = form.chroma == 444 ? X264_CSP_I444 : X264_CSP_I420;
	p->i_fps_num = (uint32_t)framerate;
	p->i_fps_den = 1;
	p->b_vfr_input = 0;
	p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p->i_scenecut_threshold = 0;
	p->b_repeat_headers = 1;
	p->b_annexb = 1;
	p->rc.i_rc_method = X264_RC_CQP;
	/* Each picture says its own quantizer, which x264 keeps between those it would give I and B pictures: 1 and 51. */
	p->rc.i_qp_constant = QUANTIZER_WORST / 2;
	p->rc.f_ip_factor = 16.0f;
	p->rc.f_pb_factor = 20.2f;
	p->rc.i_aq_mode = X264_AQ_NONE;
	p->rc.b_filler = 0;
	p->analyse.i_chroma_qp_offset = -CHROMA_FINER;
	p->analyse.inter = X264_ANALYSE_I4x4 | (small ? X264_ANALYSE_PSUB16x16 : 0);
	p->analyse.i_subpel_refine = huge ? 0 : 1; /* whole or half pixels */
	p->b_deblocking_filter = 1;
	p->b_cabac = small;
	p->vui.i_colorprim = 1; /* BT.709, whose primaries are sRGB's: whatever the matrix, the colours are those of a desktop */
	p->vui.i_transfer = 1;
	p->vui.i_colmatrix = form.colour == SE_COLOUR_709_LIMITED || form.colour == SE_COLOUR_709_FULL ? 1 : 6;
	p->vui.b_fullrange = form.colour == SE_COLOUR_709_FULL || form.colour == SE_COLOUR_601_FULL;
	return x264_param_apply_profile(p, form.chroma == 444 ? "high444" : small ? "main" : "baseline");
}

static x264_t *open_locked(x264_param_t *parameters)
{
	x264_t *x264;

	pthread_mutex_lock(&open_lock);
	x264 = x264_encoder_open(parameters);
	pthread_mutex_unlock(&open_lock);
	return x264;
}

struct se_h264 *se_h264_open(int width, int height, struct se_h264_form form, int framerate)
{
	struct se_h264 *self = calloc(1, sizeof *self);

	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: an H.264 encoder");
		return NULL;
	}
	self->width = width;
	self->height = height;
	self->coded_width = (width + 15) & ~15;
	self->coded_height = (height + 15) & ~15;
	self->form = form;
	self->lines = malloc((size_t)self->coded_width * 8);
	if (!self->lines ||
	    x264_picture_alloc(&self->picture, form.chroma == 444 ? X264_CSP_I444 : X264_CSP_I420, self->coded_width,
	                       self->coded_height) < 0) {
		se_error_set(SE_E_NOMEM, "out of memory: an H.264 encoder for %dx%d pixels", width, height);
		free(self->lines);
		free(self);
		return NULL;
	}
	if (set_parameters(&self->parameters, self->coded_width, self->coded_height, form, framerate) == 0)
		self->x264 = open_locked(&self->parameters);
	if (!self->x264) {
		se_error_set(SE_E_ENCODER, "x264 could not open an encoder for %dx%d pixels", width, height);
		se_h264_free(self);
		return NULL;
	}
	return self;
}

void se_h264_free(struct se_h264 *self)
{
	if (!self)
		return;
	if (self->x264) {
		pthread_mutex_lock(&open_lock);
		x264_encoder_close(self->x264);
		pthread_mutex_unlock(&open_lock);
	}
	x264_picture_clean(&self->picture);
	free(self->lines);
	free(self);
}

bool se_h264_fits(const struct se_h264 *self, int width, int height, struct se_h264_form form)
{
	return self->width == width && self->height == height && se_h264_same_form(self->form, form);
}

/* Pixels [x0, x1) of a row; beyond the visible width the last pixel repeats, built in `line`. */
static const uint8_t *row_pixels(const struct se_h264 *self, const uint8_t *row, int x0, int x1, uint8_t *line)
{
	if (x1 <= self->width)
		return row + (size_t)x0 * 4;
	memcpy(line, row + (size_t)x0 * 4, (size_t)(self->width - x0) * 4);
	for (int x = self->width; x < x1; x++)
		memcpy(line + (size_t)(x - x0) * 4, row + (size_t)(self->width - 1) * 4, 4);
	return line;
}

static uint8_t *plane_at(const struct se_h264 *self, int plane, int x, int y)
{
	return self->picture.img.plane[plane] + (size_t)y * (size_t)self->picture.img.i_stride[plane] + x;
}

void se_h264_update(struct se_h264 *self, const uint8_t *bgrx, size_t stride, struct se_rect rect)
{
	enum se_colour colour = self->form.colour;
	int x0 = rect.x & ~1, y0 = rect.y & ~1, x1 = rect.x + rect.w, y1 = rect.y + rect.h;

	/* Whole 2x2 blocks, and all of the padding with the edge it repeats. */
	x1 = x1 == self->width ? self->coded_width : (x1 + 1) & ~1;
	y1 = y1 == self->height ? self->coded_height : (y1 + 1) & ~1;
	for (int y = y0; y < y1; y += 2) {
		int top_y = y < self->height ? y : self->height - 1;
		int bottom_y = y + 1 < self->height ? y + 1 : self->height - 1;
		const uint8_t *top = row_pixels(self, bgrx + (size_t)top_y * stride, x0, x1, self->lines);
		const uint8_t *bottom = row_pixels(self, bgrx + (size_t)bottom_y * stride, x0, x1,
		                                   self->lines + (size_t)self->coded_width * 4);

		if (self->form.chroma == 444) {
			se_colour_row_444(colour, top, x1 - x0, plane_at(self, 0, x0, y), plane_at(self, 1, x0, y),
			                  plane_at(self, 2, x0, y));
			se_colour_row_444(colour, bottom, x1 - x0, plane_at(self, 0, x0, y + 1), plane_at(self, 1, x0, y + 1),
			                  plane_at(self, 2, x0, y + 1));
		} else {
			se_colour_rows_420(colour, top, bottom, x1 - x0, plane_at(self, 0, x0, y), plane_at(self, 0, x0, y + 1),
			                   plane_at(self, 1, x0 / 2, y / 2), plane_at(self, 2, x0 / 2, y / 2));
		}
	}
}

/* Copies the access unit without its SEI, which only names the encoder. */
static int copy_units(struct se_buffer *out, const x264_nal_t *units, int count)
{
	size_t total = 0;
	int code;

	for (int i = 0; i < count; i++)
		total += (size_t)units[i].i_payload;
	code = se_buffer_reserve(out, total);
	if (code < 0)
		return code;
	for (int i = 0; i < count; i++) {
		if (units[i].i_type == NAL_SEI)
			continue;
		memcpy(out->data + out->size, units[i].p_payload, (size_t)units[i].i_payload);
		out->size += (size_t)units[i].i_payload;
	}
	return SE_OK;
}

static int encode_once(struct se_h264 *self, bool key, struct se_buffer *out)
{
	x264_picture_t result;
	x264_nal_t *units = NULL;
	int count = 0, size, code;

	self->picture.i_type = key ? X264_TYPE_IDR : X264_TYPE_AUTO;
	self->picture.i_pts = self->pictures++;
	size = x264_encoder_encode(self->x264, &units, &count, &self->picture, &result);
	if (size <= 0)
		return se_error_set(SE_E_ENCODER, "x264 gave no picture (%d)", size);
	code = copy_units(out, units, count);
	return code < 0 ? code : result.b_keyframe;
}

static int clamp(int value, int least, int most)
{
	return value < least ? least : value > most ? most : value;
}

/* Key frames are half as coarse as what refers to them would be: 6 * log2(x264's ip_factor 1.4). */
static int key_quantizer(int crf)
{
	return clamp(crf - 3, 1, QUANTIZER_WORST);
}

/* Bits x quantizer step of a macroblock that gets the rate factor itself as quantizer. */
static double coded_normal(const struct se_h264 *self)
{
	if (is_small(self->coded_width, self->coded_height))
		return CODED_NORMAL;
	return is_huge(self->coded_width, self->coded_height) ? CODED_NORMAL_HUGE : CODED_NORMAL_LARGE;
}

/* The more of the picture changes, and the finer what changes is, the coarser: as x264's rate factor has it. */
static int delta_quantizer(const struct se_h264 *self, int crf)
{
	double steps = 0;

	if (self->coded_weight > 0 && self->coded > 0)
		steps = CODED_STEPS * log2(self->coded / self->coded_weight / coded_normal(self));
	steps = steps < -FINER_MOST ? -FINER_MOST : steps > COARSER_MOST ? COARSER_MOST : steps;
	return clamp((int)lround(crf + steps), 1, QUANTIZER_WORST);
}

static void note_coded(struct se_h264 *self, size_t bytes, int quantizer)
{
	int macroblocks = self->coded_width / 16 * (self->coded_height / 16);

	self->coded = self->coded / 2 + (double)bytes * 8 / macroblocks * 0.85 * exp2((quantizer - 12) / 6.0);
	self->coded_weight = self->coded_weight / 2 + 1;
}

int se_h264_encode(struct se_h264 *self, bool key, int crf, size_t most, struct se_buffer *out)
{
	if (most == 0 || most > MESSAGE_MOST)
		most = MESSAGE_MOST;
	for (;;) {
		int quantizer = key || self->pictures == 0 ? key_quantizer(crf) : delta_quantizer(self, crf);
		int code;

		self->picture.i_qpplus1 = quantizer + 1;
		code = encode_once(self, key, out);
		if (code == 0)
			note_coded(self, out->size, quantizer);
		if (code < 0 || out->size <= most || crf >= QUANTIZER_WORST)
			return code;
		/* Not to be sent like that: encode again, coarser, as a key frame, for this delta is not sent. */
		key = true;
		crf = crf + 10 < QUANTIZER_WORST ? crf + 10 : QUANTIZER_WORST;
	}
}

void se_h264_coded_size(const struct se_h264 *self, int *width, int *height)
{
	*width = self->coded_width;
	*height = self->coded_height;
}

#else

struct se_h264 *se_h264_open(int width, int height, struct se_h264_form form, int framerate)
{
	(void)width, (void)height, (void)form, (void)framerate;
	se_error_set(SE_E_UNSUPPORTED, "this engine was built without x264, so it has no H.264 mode");
	return NULL;
}

void se_h264_free(struct se_h264 *self)
{
	(void)self;
}

bool se_h264_fits(const struct se_h264 *self, int width, int height, struct se_h264_form form)
{
	(void)self, (void)width, (void)height, (void)form;
	return false;
}

void se_h264_update(struct se_h264 *self, const uint8_t *bgrx, size_t stride, struct se_rect rect)
{
	(void)self, (void)bgrx, (void)stride, (void)rect;
}

int se_h264_encode(struct se_h264 *self, bool key, int crf, size_t most, struct se_buffer *out)
{
	(void)self, (void)key, (void)crf, (void)most, (void)out;
	return se_error_set(SE_E_UNSUPPORTED, "this engine was built without x264, so it has no H.264 mode");
}

void se_h264_coded_size(const struct se_h264 *self, int *width, int *height)
{
	(void)self;
	*width = *height = 0;
}

#endif
