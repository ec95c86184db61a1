/* batch.c - the lossless rectangles of a frame, encoded into payloads that each fit a message. */
#include "batch.h"

#include <stdlib.h>

#include "blocks.h"
#include "content.h"
#include "frame.h"
#include "tiles.h"

#define PIECE_PHOTO 49152  /* pixels; of 4 bytes at worst (3 predicted), they stay below a message's aim */
#define PIECE_TEXT 131072  /* pixels; with at most FEW_LITERALS they stay below it too */
#define FEW_LITERALS 300   /* of 1000 pixels */
#define TRY_PIXELS 196608  /* of photographs likewise: they take one to two bytes each */
#define TRY_BOUND 2000000u /* bytes; text of that bound may fit a message, of a larger one it hardly does */
#define PHOTO_LEAST 256    /* pixels: a tile; of fewer nobody can tell what they show, and any form is small */
#define PHOTO_BYTES 2      /* of a pixel, about */
#define MOST_RECTS 2048    /* in one part: their records take 64 kB of the message */

void se_batch_free(struct se_batch *self)
{
	for (size_t i = 0; i < self->part_capacity; i++)
		se_buffer_free(&self->parts[i].out);
	free(self->parts);
	free(self->pieces);
	se_lossless_free(self->coder);
	*self = (struct se_batch){ 0 };
}

void se_batch_clear(struct se_batch *self)
{
	self->count = 0;
	self->pixels = 0;
	self->part_count = 0;
}

static int add_piece(struct se_batch *self, struct se_rect rect, bool photo)
{
	if (self->count == self->capacity) {
		size_t capacity = self->capacity ? self->capacity * 2 : 64;
		struct se_batch_piece *pieces = realloc(self->pieces, capacity * sizeof *pieces);

		if (!pieces)
			return se_error_set(SE_E_NOMEM, "out of memory: %zu lossless rectangles", capacity);
		self->pieces = pieces;
		self->capacity = capacity;
	}
	self->pieces[self->count++] = (struct se_batch_piece){ rect, photo };
	self->pixels += se_rect_area(rect);
	return SE_OK;
}

/* The tile edge next to the middle of [start, start + size), or 0 if there is none inside. */
static int cut_of(int start, int size)
{
	int cut = (start + size / 2 + SE_TILE / 2) / SE_TILE * SE_TILE;

	if (cut >= start + size)
		cut -= SE_TILE;
	return cut > start ? cut : 0;
}

/* `open`: whether it may show a photograph is to be looked at. */
static int add_pieces(struct se_batch *self, struct se_rect rect, bool dense, bool open)
{
	struct se_rect first = rect, second = rect;
	int cut = rect.h > SE_TILE ? cut_of(rect.y, rect.h) : 0, code;

	if (se_rect_area(rect) <= (dense ? PIECE_PHOTO : PIECE_TEXT))
		return add_piece(self, rect, open);
	if (cut > 0) {
		first.h = cut - rect.y;
		second.y = cut;
		second.h -= first.h;
	} else {
		cut = cut_of(rect.x, rect.w); /* a row of tiles of that many pixels is thousands wide */
		first.w = cut - rect.x;
		second.x = cut;
		second.w -= first.w;
	}
	code = add_pieces(self, first, dense, open);
	return code < 0 ? code : add_pieces(self, second, dense, open);
}

int se_batch_add(struct se_batch *self, struct se_rect rect, int literals)
{
	return add_pieces(self, rect, literals > FEW_LITERALS, literals > FEW_LITERALS);
}

int se_batch_add_text(struct se_batch *self, struct se_rect rect, int literals)
{
	return add_pieces(self, rect, literals > FEW_LITERALS, false);
}

static struct se_batch_part *next_part(struct se_batch *self)
{
	if (self->part_count == self->part_capacity) {
		size_t capacity = self->part_capacity ? self->part_capacity * 2 : 4;
		struct se_batch_part *parts = realloc(self->parts, capacity * sizeof *parts);

		if (!parts)
			return NULL;
		for (size_t i = self->part_capacity; i < capacity; i++)
			parts[i] = (struct se_batch_part){ 0 };
		self->parts = parts;
		self->part_capacity = capacity;
	}
	return &self->parts[self->part_count];
}

static int64_t pixels_of(const struct se_batch *self, size_t first, size_t count, bool photos_only)
{
	int64_t pixels = 0;

	for (size_t i = first; i < first + count; i++)
		if (self->pieces[i].photo || !photos_only)
			pixels += se_rect_area(self->pieces[i].rect);
	return pixels;
}

/* Whether more than half of a rectangle shows a photograph, block by block. */
static bool shows_photo(const struct se_picture *picture, struct se_rect rect)
{
	int64_t photo = 0;

	if (se_rect_area(rect) < PHOTO_LEAST)
		return false;
	for (int y = rect.y; y < rect.y + rect.h; y += SE_BLOCK)
		for (int x = rect.x; x < rect.x + rect.w; x += SE_BLOCK) {
			struct se_rect block = se_rect_intersect((struct se_rect){ x, y, SE_BLOCK, SE_BLOCK }, rect);

			if (se_content_is_photo(se_content_sample(picture, block)))
				photo += se_rect_area(block);
		}
	return photo * 2 > se_rect_area(rect);
}

int64_t se_batch_estimate(const struct se_picture *picture, struct se_rect rect, int literals)
{
	int64_t area = se_rect_area(rect);

	return 32 + (literals > FEW_LITERALS && shows_photo(picture, rect) ? area * PHOTO_BYTES : area * literals * 3 / 1000);
}

static int encode_piece(struct se_batch *self, struct se_batch_piece *piece, const struct se_picture *picture)
{
	piece->photo = piece->photo && shows_photo(picture, piece->rect);
	if (piece->photo)
		return se_lossless_add_photo(self->coder, picture->pixels, picture->stride, piece->rect);
	return se_lossless_add(self->coder, picture->pixels, picture->stride, piece->rect, 1000);
}

/* `most`: pixels of the picture. Repairs may cover what has changed once more, and a reader refuses a batch of more. */
static int finish(struct se_batch *self, size_t first, size_t count, int64_t most)
{
	bool hopeless = count > MOST_RECTS || (count > 1 && (pixels_of(self, first, count, false) > most ||
	                                                     pixels_of(self, first, count, true) > TRY_PIXELS ||
	                                                     se_lossless_bound(self->coder, first, count) > TRY_BOUND));
	size_t room = SE_FRAME_AIM - SE_FRAME_HEADER - count * SE_FRAME_RECORD;
	struct se_batch_part *part = next_part(self);
	int code;

	if (!part)
		return se_error_set(SE_E_NOMEM, "out of memory: lossless payloads");
	if (!hopeless) {
		code = se_lossless_finish(self->coder, first, count, &part->out);
		if (code < 0 && (code != SE_E_INVALID || count == 1))
			return code == SE_E_INVALID ? SE_E_ENCODER : code;
		if (code == SE_OK && (part->out.size <= room || count == 1)) {
			part->first = first;
			part->count = count;
			self->part_count++;
			return SE_OK;
		}
	}
	code = finish(self, first, count / 2, most);
	return code < 0 ? code : finish(self, first + count / 2, count - count / 2, most);
}

int se_batch_encode(struct se_batch *self, const struct se_picture *picture)
{
	int code = SE_OK;

	self->part_count = 0;
	if (!self->coder)
		self->coder = se_lossless_new();
	if (!self->coder)
		return se_error_set(SE_E_NOMEM, "out of memory: a lossless encoder");
	se_lossless_begin(self->coder);
	for (size_t i = 0; i < self->count && code == SE_OK; i++)
		code = encode_piece(self, &self->pieces[i], picture);
	if (code == SE_OK && self->count > 0)
		code = finish(self, 0, self->count, se_rect_area(se_picture_bounds(picture)));
	if (code < 0)
		self->part_count = 0;
	return code;
}
