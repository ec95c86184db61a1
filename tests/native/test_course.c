/* test_course.c - moves one after the other: what a finder learns from, what distracts it and what it gives up on. */
#include "check.h"
#include "error.h"
#include "motion_scene.h"

/* A long run of noise makes searches rare, but a drag that begins is still found after a few frames. */
static void check_patience(void)
{
	struct se_rect all = { 0, 0, 400, 300 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 121;
	int left, frames = 0;

	scene_begin(400, 300);
	for (int i = 0; i < 20; i++) {
		scene_make_noise(&scene_before, all, &seed);
		scene_make_noise(&scene_after, all, &seed);
		CHECK(scene_find(all, NULL, moves, &left) == 0, "noise moves");
	}
	scene_shift(all, 7, 5, all);
	while (scene_find(all, NULL, moves, &left) == 0)
		CHECK(++frames < 6, "not found in %d frames", frames);
	CHECK(scene_find(all, NULL, moves, &left) == 1, "found once, then not");
}

/* A window dragged in a circle over another with text, step by step: each is found, from the first on. */
static void check_course(void)
{
	static const int steps[][2] = { { 11, 3 }, { 10, 5 }, { 8, 8 }, { 5, 10 }, { 2, 11 }, { 0, 12 }, { -3, 11 }, { -6, 9 },
		                            { -9, 7 }, { -11, 3 }, { -12, 0 }, { -11, -3 }, { -30, 40 }, { 1, 1 } };
	struct se_rect window = { 200, 100, 300, 220 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 141;
	struct se_picture wallpaper = { 0 };
	int left;

	scene_begin(800, 600);
	CHECK(se_picture_resize(&wallpaper, 800, 600) == SE_OK, "%s", se_error_message());
	scene_write_text(&wallpaper, se_picture_bounds(&wallpaper), &seed);
	scene_copy_all(&scene_before, &wallpaper);
	scene_fill(&scene_before, window, 0x303030);
	scene_write_text(&scene_before, (struct se_rect){ 204, 120, 292, 196 }, &seed);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		int dx = steps[i][0], dy = steps[i][1], count;
		struct se_rect moved = { window.x + dx, window.y + dy, window.w, window.h };

		scene_copy_all(&scene_after, &wallpaper);
		scene_shift(window, dx, dy, moved);
		count = scene_find(se_rect_union(window, moved), NULL, moves, &left);
		CHECK(count >= 1 && moves[count - 1].dx == dx && moves[count - 1].dy == dy, "step %zu: %d moves", i, count);
		CHECK(scene_differing(&scene_shown, &scene_after, moved) == 0, "step %zu: not all of the window", i);
		scene_copy_all(&scene_before, &scene_after);
		window = moved;
	}
	se_picture_free(&wallpaper);
}

/* A few lines that scroll must not hide the window that is dragged beside them. */
static void check_distraction(void)
{
	struct se_rect window = { 40, 30, 420, 240 }, moved = { 49, 37, 420, 240 }, pane = { 40, 290, 420, 60 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 151;
	int left, count;

	scene_begin(500, 360);
	scene_make_noise(&scene_before, se_picture_bounds(&scene_before), &seed);
	scene_copy_all(&scene_after, &scene_before);
	scene_write_text(&scene_before, window, &seed);
	scene_shift(window, 9, 7, moved);
	scene_write_text(&scene_before, pane, &seed);
	scene_shift(pane, 0, -20, pane);
	for (int i = 0; i < 2; i++) {
		count = scene_find((struct se_rect){ 40, 30, 430, 322 }, NULL, moves, &left);
		CHECK(count == 2, "%d moves", count);
		CHECK(scene_differing(&scene_shown, &scene_after, moved) == 0, "the window is not moved");
		CHECK(scene_differing(&scene_shown, &scene_after, (struct se_rect){ 40, 290, 420, 40 }) == 0, "the pane is not moved");
	}
}

/* A turned page that shares a few pieces of lines with the old one: no copy of them is worth that all of both is read. */
static void check_turned(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 171;
	int left;

	scene_begin(640, 480);
	scene_write_text(&scene_before, all, &seed);
	scene_write_text(&scene_after, all, &seed);
	scene_shift((struct se_rect){ 0, 24, 250, 60 }, 0, 156, all);
	CHECK(scene_find(all, NULL, moves, &left) == 0, "a page is searched for lines");
	scene_shift((struct se_rect){ 0, 40, 640, 240 }, 0, 156, all);
	CHECK(scene_find(all, NULL, moves, &left) == 1, "half of a page is a move");
}

/* What is remembered: the newest first, each once, no more than there is room for. */
static void check_memory(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_motion *memory = se_motion_new();
	struct se_motion_view view = { .before = &scene_before, .area = all };
	struct se_motion_probes probes;
	struct se_motion_vector by = { 0, 0 };
	uint32_t seed = 161;

	CHECK(memory, "%s", se_error_message());
	scene_begin(640, 480);
	scene_write_text(&scene_before, all, &seed);
	scene_write_text(&scene_after, all, &seed);
	scene_shift(all, 0, -68, all);
	view.after = scene_after.pixels;
	view.stride = scene_after.stride;
	se_motion_choose_probes(&view, &probes);
	CHECK(probes.count >= SE_MOTION_PROBES_FEW, "%d probes", probes.count);
	CHECK(!se_motion_guess(memory, &view, &probes, &by), "a guess out of nothing");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -68 }, NULL, 0) >= se_motion_enough(&probes),
	      "the scroll explains too little");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -67 }, NULL, 0) == 0, "a wrong distance explains much");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -68 }, &(struct se_move){ all, 0, -68 }, 1) == 0,
	      "what is moved already counts");
	se_motion_remember(memory, (struct se_motion_vector){ 0, -68 });
	for (int i = 1; i < SE_MOTION_RECENT; i++) {
		se_motion_remember(memory, (struct se_motion_vector){ i * 40, i * 40 });
		CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dx == 0 && by.dy == -68, "forgotten after %d", i);
	}
	se_motion_remember(memory, (struct se_motion_vector){ 0, -68 });
	CHECK(memory->recent_count == SE_MOTION_RECENT && memory->recent[0].dy == -68 && memory->recent[1].dx == 280, "out of order");
	for (int i = 1; i <= SE_MOTION_RECENT; i++)
		se_motion_remember(memory, (struct se_motion_vector){ i * 50, i * 50 });
	CHECK(memory->recent_count == SE_MOTION_RECENT, "%d remembered", memory->recent_count);
	CHECK(!se_motion_guess(memory, &view, &probes, &by), "not forgotten");
	se_motion_remember(memory, (struct se_motion_vector){ 0, -60 });
	CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dy == -68, "a scroll that gets faster");
	se_motion_remember(memory, (struct se_motion_vector){ 2, -65 });
	CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dx == 0 && by.dy == -68, "a drag that turns");
	view.area = (struct se_rect){ 3, 3, SE_MOTION_PROBE - 1, 400 };
	se_motion_choose_probes(&view, &probes);
	CHECK(probes.count == 0, "%d probes where none has room", probes.count);
	view.area = (struct se_rect){ 639 - SE_MOTION_PROBE, 0, SE_MOTION_PROBE, 480 };
	se_motion_choose_probes(&view, &probes);
	for (int i = 0; i < probes.count; i++)
		CHECK(probes.x[i] == view.area.x && probes.y[i] < 480, "a probe outside of the area");
	se_motion_free(memory);
}

void test_course(void)
{
	scene_open();
	check_patience();
	check_course();
	check_distraction();
	check_turned();
	check_memory();
	scene_close();
}
