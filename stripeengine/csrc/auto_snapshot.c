/* auto_snapshot.c - the picture, or a part of it, for one viewer, in the forms of auto mode. On the easel (engine_snapshot.c).
 *
 * What is exact for everybody is sent exactly. JPEG is for photographs that have losses anyway, whose repair reaches the newcomer
 * like everybody; and for all photographs if the asker names a quality: whoever does has asked for losses.
 */
#include "auto_mode.h"
#include "content.h"
#include "engine_private.h"

/* True if every tile of the block has losses, so that all of it will be repaired. In h264 a stripe knows, for all of its rows. */
static bool all_lossy(const struct se_engine *engine, struct se_rect block)
{
	const struct se_tiles *tiles = &engine->automatic.tiles;
	struct se_rect range = se_tiles_touched(block);

	if (!se_mode_is_tiled(engine->settings.mode))
		return !se_stripes_are_exact(&engine->stripes, block);
	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++)
			if (se_tile_at(tiles, column, row)->state == SE_TILE_EXACT)
				return false;
	return true;
}

static int add_run(struct se_engine *engine, struct se_rect rect, bool is_jpeg, int literals, int quality)
{
	if (se_rect_empty(rect))
		return SE_OK;
	return is_jpeg ? se_auto_add_rest_jpeg(engine, rect, quality, false)
	               : se_auto_add_lossless(&engine->automatic, rect, literals);
}

static int add_row(struct se_engine *engine, struct se_rect row, int asked, int quality)
{
	const struct se_picture *picture = &engine->reference;
	struct se_rect run = { 0, 0, 0, 0 };
	bool run_jpeg = false, run_photo = false;
	int run_literals = 0, code = SE_OK;

	for (int x = row.x; x < row.x + row.w && code == SE_OK; x += SE_BLOCK) {
		struct se_rect block = se_rect_intersect((struct se_rect){ x, row.y, SE_BLOCK, SE_BLOCK }, row);
		struct se_content content = se_content_sample(picture, block);
		bool is_photo = se_content_is_photo(content);
		bool is_jpeg = engine->settings.mode != SE_MODE_LOSSLESS && is_photo && (asked || all_lossy(engine, block));

		if (is_jpeg != run_jpeg || is_photo != run_photo) {
			code = add_run(engine, run, run_jpeg, run_literals, quality);
			run = (struct se_rect){ 0, 0, 0, 0 };
			run_literals = 0;
		}
		run = se_rect_union(run, block);
		run_jpeg = is_jpeg;
		run_photo = is_photo;
		run_literals = content.literals > run_literals ? content.literals : run_literals;
	}
	return code < 0 ? code : add_run(engine, run, run_jpeg, run_literals, quality);
}

int se_engine_auto_snapshot(struct se_engine *engine, struct se_rect rect, int quality)
{
	const struct se_settings *settings = &engine->settings;
	int asked = quality, code = SE_OK;

	if (!quality)
		quality = settings->jpeg_quality > settings->paint_over_jpeg_quality ? settings->jpeg_quality
		                                                                     : settings->paint_over_jpeg_quality;
	se_engine_auto_clear(engine);
	for (int y = rect.y; y < rect.y + rect.h && code == SE_OK; y += SE_BLOCK)
		code = add_row(engine, se_rect_intersect((struct se_rect){ rect.x, y, rect.w, SE_BLOCK }, rect), asked, quality);
	return code < 0 ? code : se_auto_encode(engine);
}
