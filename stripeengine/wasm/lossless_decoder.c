/* lossless_decoder.c - checks the head, inflates, and runs byte ops or adds residuals.
 *
 * Runs are copied four pixels at a time with fixed-size copies, which compilers turn into vector moves wherever there are
 * some; what is written too far is written again by the ops that follow, or lies in the slack behind the last pixel.
 */
#include "lossless_decoder.h"

#include "inflate.h"
#include "predicted.h"

#define DEFLATED 1u
#define FORMS 2u
#define PREDICTED 1u /* a form; 0 is byte ops */
#define ESCAPE 255u
#define LONG 0x40u
#define REPEAT 0x20u
#define LENGTH_MASK 0x1fu
#define STEP 4 /* pixels */

struct stream {
	const uint8_t *at, *end;
};

static uint32_t pack_pixel(const uint8_t *rgb)
{
	const uint8_t bytes[4] = { rgb[0], rgb[1], rgb[2], 255 };
	uint32_t pixel;

	__builtin_memcpy(&pixel, bytes, sizeof pixel);
	return pixel;
}

int se_lossless_decoder_open(struct se_lossless_decoder *self, const uint8_t *payload, size_t length,
                             const struct se_lossless_size *sizes, size_t count)
{
	size_t head;

	if (length < 2)
		return SE_LOSSLESS_DECODER_HEAD;
	if (payload[0] & ~(DEFLATED | FORMS))
		return SE_LOSSLESS_DECODER_FLAGS;
	self->deflated = payload[0] & DEFLATED;
	self->has_forms = (payload[0] & FORMS) != 0;
	self->palette_size = payload[1];
	head = 2 + 3 * (size_t)self->palette_size + 4;
	if (length < head || self->palette_size > ESCAPE)
		return SE_LOSSLESS_DECODER_HEAD;
	for (unsigned i = 0; i < 256; i++)
		self->palette[i] = i < self->palette_size ? pack_pixel(payload + 2 + 3 * i) : 0;
	self->op_bytes = 0;
	for (size_t i = 0; i < 4; i++)
		self->op_bytes |= (size_t)payload[head - 4 + i] << (8 * i);
	self->sizes = sizes;
	self->count = count;
	self->pixels = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t area = (uint64_t)sizes[i].width * sizes[i].height;

		if (area > UINT32_MAX || self->pixels > UINT32_MAX - area)
			return SE_LOSSLESS_DECODER_OP_BYTES;
		self->pixels += area;
	}
	if (self->op_bytes > 4 * self->pixels + 64)
		return SE_LOSSLESS_DECODER_OP_BYTES;
	self->body = payload + head;
	self->body_size = length - head;
	if (!self->deflated && self->body_size != self->op_bytes)
		return SE_LOSSLESS_DECODER_BODY_LENGTH;
	return SE_LOSSLESS_DECODER_OK;
}

/* Up to 128 literals. */
static int run_literals(const struct se_lossless_decoder *self, struct stream *stream, uint32_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t pixel;

		if (stream->at == stream->end)
			return SE_LOSSLESS_DECODER_EARLY;
		pixel = self->palette[*stream->at++];
		if (pixel == 0) {
			if (stream->at[-1] != ESCAPE)
				return SE_LOSSLESS_DECODER_INDEX;
			if (stream->end - stream->at < 3)
				return SE_LOSSLESS_DECODER_EARLY;
			pixel = pack_pixel(stream->at);
			stream->at += 3;
		}
		out[i] = pixel;
	}
	return SE_LOSSLESS_DECODER_OK;
}

/* Writes up to three pixels too many, as all runs. */
static inline void repeat_left(uint32_t *out, size_t count)
{
	const uint32_t four[STEP] = { out[-1], out[-1], out[-1], out[-1] };

	for (const uint32_t *end = out + count; out < end; out += STEP)
		__builtin_memcpy(out, four, sizeof four);
}

/* A run may be longer than a row: it then reads what it has just written. */
static inline void copy_above(uint32_t *out, size_t width, size_t count)
{
	const uint32_t *end = out + count;

	if (width < STEP)
		for (; out < end; out++)
			*out = *(out - width);
	for (; out < end; out += STEP)
		__builtin_memcpy(out, out - width, STEP * sizeof *out);
}

static int run_rectangle(const struct se_lossless_decoder *self, struct stream *stream, uint32_t *pixels,
                         struct se_lossless_size size)
{
	size_t all = (size_t)size.width * size.height, done = 0;

	while (done < all) {
		size_t count;
		unsigned op;

		if (stream->at == stream->end)
			return SE_LOSSLESS_DECODER_EARLY;
		op = *stream->at++;
		if (op < 0x80) {
			int error;

			count = op + 1;
			if (count > all - done)
				return SE_LOSSLESS_DECODER_LITERALS;
			error = run_literals(self, stream, pixels + done, count);
			if (error)
				return error;
			done += count;
			continue;
		}
		count = op & LENGTH_MASK;
		if (op & LONG) {
			if (stream->at == stream->end)
				return SE_LOSSLESS_DECODER_EARLY;
			count = count << 8 | *stream->at++;
		}
		count++;
		if (count > all - done)
			return SE_LOSSLESS_DECODER_RUN;
		if (op & REPEAT) {
			if (done == 0)
				return SE_LOSSLESS_DECODER_LEFT;
			repeat_left(pixels + done, count);
		} else {
			if (done < size.width)
				return SE_LOSSLESS_DECODER_ABOVE;
			copy_above(pixels + done, size.width, count);
		}
		done += count;
	}
	return SE_LOSSLESS_DECODER_OK;
}

static size_t area_of(struct se_lossless_size size)
{
	return (size_t)size.width * size.height;
}

/* All rectangles are byte ops. */
static int run_all(const struct se_lossless_decoder *self, struct stream *stream, uint32_t *pixels)
{
	for (size_t i = 0; i < self->count; i++) {
		int error = run_rectangle(self, stream, pixels, self->sizes[i]);

		if (error)
			return error;
		pixels += area_of(self->sizes[i]);
	}
	return stream->at == stream->end ? SE_LOSSLESS_DECODER_OK : SE_LOSSLESS_DECODER_LATE;
}

/* The forms, the ops of those that have some, and at the end of the stream three planes of all the others. */
static int run_forms(const struct se_lossless_decoder *self, struct stream *stream, uint32_t *pixels)
{
	const uint8_t *forms = stream->at, *plane;
	size_t predicted = 0;

	if ((size_t)(stream->end - stream->at) < self->count)
		return SE_LOSSLESS_DECODER_EARLY;
	for (size_t i = 0; i < self->count; i++) {
		if (forms[i] > PREDICTED)
			return SE_LOSSLESS_DECODER_FORM;
		if (forms[i] == PREDICTED)
			predicted += area_of(self->sizes[i]);
	}
	stream->at += self->count;
	if (predicted > (size_t)(stream->end - stream->at) / 3)
		return SE_LOSSLESS_DECODER_PLANES;
	plane = stream->end -= 3 * predicted;
	for (size_t i = 0; i < self->count; i++) {
		if (forms[i] == PREDICTED) {
			se_predicted_decode(plane, predicted, pixels, self->sizes[i].width, self->sizes[i].height);
			plane += area_of(self->sizes[i]);
		} else {
			int error = run_rectangle(self, stream, pixels, self->sizes[i]);

			if (error)
				return error;
		}
		pixels += area_of(self->sizes[i]);
	}
	return stream->at == stream->end ? SE_LOSSLESS_DECODER_OK : SE_LOSSLESS_DECODER_LATE;
}

static int inflate_body(const struct se_lossless_decoder *self, uint8_t *scratch)
{
	switch (se_inflate(self->body, self->body_size, scratch, self->op_bytes)) {
	case SE_INFLATE_OK:
		return SE_LOSSLESS_DECODER_OK;
	case SE_INFLATE_EARLY:
		return SE_LOSSLESS_DECODER_DEFLATE_EARLY;
	case SE_INFLATE_LATE:
		return SE_LOSSLESS_DECODER_DEFLATE_LATE;
	case SE_INFLATE_LONG:
	case SE_INFLATE_SHORT:
		return SE_LOSSLESS_DECODER_DEFLATE_LENGTH;
	default:
		return SE_LOSSLESS_DECODER_NOT_DEFLATE;
	}
}

int se_lossless_decoder_run(const struct se_lossless_decoder *self, uint8_t *scratch, uint32_t *pixels)
{
	struct stream stream = { self->body, self->body + self->body_size };

	if (self->deflated) {
		int error = inflate_body(self, scratch);

		if (error)
			return error;
		stream = (struct stream){ scratch, scratch + self->op_bytes };
	}
	return self->has_forms ? run_forms(self, &stream, pixels) : run_all(self, &stream, pixels);
}

const char *se_lossless_decoder_message(int error)
{
	static const char *const messages[] = {
		"lossless batch is right",
		"lossless batch ends inside its header",
		"lossless op stream of more bytes than its pixels can need",
		"lossless body is not as long as its header says",
		"lossless batch is not raw deflate",
		"lossless batch is deflate that ends early",
		"lossless batch goes on after its deflate stream",
		"lossless batch inflates to more or fewer bytes than it promises",
		"lossless op stream ends early",
		"lossless op stream goes on after its last rectangle",
		"lossless literals run past their rectangle",
		"lossless literal outside the palette",
		"lossless run goes past its rectangle",
		"lossless repeat at the first pixel",
		"lossless copy from above in the first row",
		"lossless batch with a flag that this reader does not know: it is of a newer version",
		"lossless rectangle of a form that this reader does not know: it is of a newer version",
		"lossless op stream ends inside the planes of its predicted rectangles",
	};
	size_t number = error <= 0 ? (size_t)-(int64_t)error : sizeof messages;

	return number < sizeof messages / sizeof *messages ? messages[number] : "lossless batch fails for an unknown reason";
}
