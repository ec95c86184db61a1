"""The screen that scripts draw on: one Xvfb for all of them, an X client, and the server's own memory.

python-xlib, on one connection and in the caller's thread. `Stage.draw` sends a step's requests and returns when the
server has done them; `Stage.clear` brings the screen back to what every script begins with; `Stage.truth` reads the
screen in a way of its own, a plain GetImage, so that a mistake in the engine's capture shows.
"""

from __future__ import annotations

import mmap
import os
import struct
from types import TracebackType
from typing import Any, Self
from unittest import mock

import numpy as np
import numpy.typing as npt
from Xlib import X, display
from Xlib.ext import randr

from tests.stripeengine.fixtures_scripts import EVERY_SIZE, LARGEST, PICTURES, ROOT, SIZES, WINDOWS, Rectangle, Step
from tests.stripeengine.fixtures_x11 import XServer

Pixels = npt.NDArray[np.uint8]

_PICTURE_SIZE = (1084, 828)  # the largest screen and the farthest corner a script takes a picture from
_BACKGROUND = 0x305070


class Stage:
    """An Xvfb with everything on it that scripts draw with. Raises `RuntimeError` if the server refuses a request."""

    def __init__(self) -> None:
        self.server = XServer(LARGEST, framebuffer=True)
        self._windows: list[Any] = [None] * WINDOWS
        self._problems: list[str] = []

    def __enter__(self) -> Self:
        self.server.start()
        try:
            with mock.patch.dict(os.environ, {"XAUTHORITY": self.server.authority}):
                self._display: Any = display.Display(self.server.display)
            self._display.set_error_handler(lambda problem, _: self._problems.append(str(problem)))
            self._root: Any = self._display.screen().root
            self._gc: Any = self._root.create_gc(subwindow_mode=X.IncludeInferiors, graphics_exposures=0)
            self._inner: Any = self._root.create_gc(graphics_exposures=0)
            font = self._display.open_font("fixed")
            for gc in (self._gc, self._inner):
                gc.change(font=font)
            self._pictures = {kind: self._upload(make_picture(kind)) for kind in PICTURES}
            self._open_memory()
            self._make_modes()
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.close()
        self._memory.close()
        self.server.stop()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the screen."""
        return self._size

    def clear(self) -> None:
        """One colour, no windows, the first size."""
        for index in range(WINDOWS):
            self._close(index)
        self._resize(SIZES[0])
        self._gc.change(foreground=_BACKGROUND)
        self._root.fill_rectangle(self._gc, 0, 0, *LARGEST)
        self.finish()

    def finish(self) -> None:
        """Wait until the server has done everything; raise if it refused something."""
        self._display.sync()
        if self._problems:
            problems, self._problems = self._problems, []
            raise RuntimeError(f"the X server refused: {problems[0]}")

    def truth(self) -> Pixels:
        """Return the screen, height×width×3 RGB."""
        width, height = self._size
        data = self._root.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF).data
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)[:, :, 2::-1]

    def draw(self, step: Step) -> None:
        """Do one step that draws, and wait until the server has done it."""
        name, *arguments = step
        getattr(self, "_" + name.replace(" ", "_"))(*arguments)
        self.finish()

    # ---- drawing ----

    def _target(self, where: int, colour: int | None = None) -> tuple[Any, Any]:
        window = None if where == ROOT else self._windows[where]
        drawable, gc = (self._root, self._gc) if window is None else (window, self._inner)
        if colour is not None:
            gc.change(foreground=colour)
        return drawable, gc

    def _fill(self, where: int, rectangle: Rectangle, colour: int) -> None:
        drawable, gc = self._target(where, colour)
        drawable.fill_rectangle(gc, *rectangle)

    def _boxes(self, where: int, boxes: list[Rectangle], colour: int) -> None:
        drawable, gc = self._target(where, colour)
        drawable.poly_fill_rectangle(gc, boxes)

    def _lines(self, where: int, points: list[tuple[int, int]], colour: int, width: int) -> None:
        drawable, gc = self._target(where, colour)
        gc.change(line_width=width)
        drawable.poly_line(gc, X.CoordModeOrigin, points)

    def _arc(self, where: int, rectangle: Rectangle, colour: int) -> None:
        drawable, gc = self._target(where, colour)
        drawable.fill_arc(gc, *rectangle, 64 * 30, 64 * 290)

    def _text(self, where: int, corner: tuple[int, int], lines: list[str], ink: int, paper: int) -> None:
        drawable, gc = self._target(where, ink)
        gc.change(background=paper)
        for number, line in enumerate(lines):
            drawable.image_text(gc, corner[0], corner[1] + 13 * (number + 1), line.encode())

    def _picture(self, where: int, kind: str, corner: tuple[int, int], rectangle: Rectangle) -> None:
        drawable, gc = self._target(where)
        x, y, width, height = rectangle
        drawable.copy_area(gc, self._pictures[kind], *corner, width, height, x, y)

    def _copy(self, where: int, rectangle: Rectangle, corner: tuple[int, int], source: int) -> None:
        drawable, gc = self._target(where)
        x, y, width, height = rectangle
        drawable.copy_area(gc, self._target(source)[0], x, y, width, height, *corner)

    def _scribble(self, rectangle: Rectangle, colour: int) -> None:
        """Write into the server's memory: a change it reports to nobody."""
        width, height = self._size
        x0, y0 = max(rectangle[0], 0), max(rectangle[1], 0)
        x1, y1 = min(rectangle[0] + rectangle[2], width), min(rectangle[1] + rectangle[3], height)
        for y in range(y0, y1):
            start = self._pixels_at + y * self._stride + x0 * 4
            self._memory[start : start + 4 * (x1 - x0)] = struct.pack("<I", colour) * (x1 - x0)

    # ---- windows ----

    def _open(self, index: int, rectangle: Rectangle, colour: int, border: int) -> None:
        self._close(index)
        window = self._root.create_window(
            *rectangle,
            border,
            X.CopyFromParent,
            override_redirect=1,
            background_pixel=colour,
            border_pixel=colour ^ 0xFFFFFF,
        )
        window.map()
        self._windows[index] = window

    def _close(self, index: int) -> None:
        window, self._windows[index] = self._windows[index], None
        if window is not None:
            window.destroy()

    def _configure(self, index: int, **values: int) -> None:
        if self._windows[index] is not None:
            self._windows[index].configure(**values)

    def _raise(self, index: int) -> None:
        self._configure(index, stack_mode=X.Above)

    def _lower(self, index: int) -> None:
        self._configure(index, stack_mode=X.Below)

    def _move(self, index: int, corner: tuple[int, int]) -> None:
        self._configure(index, x=corner[0], y=corner[1])

    def _resize_window(self, index: int, size: tuple[int, int]) -> None:
        self._configure(index, width=size[0], height=size[1])

    def _map(self, index: int) -> None:
        if self._windows[index] is not None:
            self._windows[index].map()

    def _unmap(self, index: int) -> None:
        if self._windows[index] is not None:
            self._windows[index].unmap()

    # ---- the screen itself ----

    def _make_modes(self) -> None:
        resources = randr.get_screen_resources(self._root)
        self._crtc, self._output = resources.crtcs[0], resources.outputs[0]
        self._size = LARGEST
        self._modes: dict[tuple[int, int], int] = {}
        for width, height in EVERY_SIZE:
            # The timings do not matter to Xvfb; the sizes in them do.
            timings = (60_000_000, width + 8, width + 16, width + 24, 0, height + 3, height + 6, height + 10)
            name = f"script{width}x{height}"
            mode = randr.create_mode(self._root, (0, width, height, *timings, len(name), 0), name).mode
            randr.add_output_mode(self._display, self._output, mode)
            self._modes[width, height] = mode
        self.finish()

    def _resize(self, size: tuple[int, int]) -> None:
        if size == self._size:
            return
        when = randr.get_screen_resources(self._root).config_timestamp
        for mode, outputs in ((0, []), (self._modes[size], [self._output])):
            answer = randr.set_crtc_config(self._display, self._crtc, when, 0, 0, mode, randr.Rotate_0, outputs)
            if answer.status != 0:
                raise RuntimeError(f"the X server refused the size {size}: RandR status {answer.status}")
            if mode == 0:
                randr.set_screen_size(self._root, *size, size[0], size[1])
        self._size = size

    def _open_memory(self) -> None:
        with open(os.path.join(os.path.dirname(self.server.authority), "Xvfb_screen0"), "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        # An XWD file: header size first, stride thirteenth, colours twentieth word; 12 bytes a colour.
        words = struct.unpack_from(">20I", self._memory, 0)
        self._pixels_at, self._stride = words[0] + words[19] * 12, words[12]

    def _upload(self, picture: Pixels) -> Any:
        height, width = picture.shape[:2]
        pixmap = self._root.create_pixmap(width, height, 24)
        rows = 200_000 // (width * 4)
        bgrx = np.zeros((height, width, 4), np.uint8)
        bgrx[:, :, 2::-1] = picture
        for top in range(0, height, rows):
            part = bgrx[top : top + rows]
            pixmap.put_image(self._inner, 0, top, width, len(part), X.ZPixmap, 24, 0, part.tobytes())
        return pixmap


def make_picture(kind: str) -> Pixels:
    """Return one of the pictures scripts paste, height×width×3 RGB; the same in every run."""
    dice = np.random.default_rng(PICTURES.index(kind))
    width, height = _PICTURE_SIZE
    y, x = np.mgrid[0:height, 0:width]
    if kind == "noise":
        return dice.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "gradient":
        return np.stack((x * 255 // width, y * 255 // height, (x + y) % 256), axis=2).astype(np.uint8)
    if kind == "photograph":
        waves = [120 + 100 * np.sin(x / (30 + 7 * i)) * np.cos(y / (23 + 5 * i)) for i in range(3)]
        return (np.stack(waves, axis=2) + dice.integers(0, 18, (height, width, 3))).astype(np.uint8)
    if kind == "page":
        strokes = dice.random((height, width)) < 0.2
        strokes[(np.arange(height) // 3) % 4 == 0] = False
        return np.where(strokes[:, :, None], [20, 20, 30], [250, 250, 245]).astype(np.uint8)
    palette = dice.integers(0, 256, (7, 3), dtype=np.uint8)
    few: Pixels = palette[(x // 9 + y // 5 + dice.integers(0, 2, (height, width))) % 7]
    return few
