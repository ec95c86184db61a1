"""What moves on the screen: a page that scrolls or a window that changes, at a rate that does not slip.

``python -m benchmarks.delivery.painter DISPLAY AUTHORITY``, driven by lines on stdin: ``scroll FPS`` moves the page,
``tick FPS`` changes a window of it, ``stamp FPS`` scrolls and draws the time into the corners (`stamps.read_stamps`),
``rest`` stops. Each line, also ``count``, is answered with the number of pictures drawn so far. The page is drawn once;
a step is a copy inside the X server.
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from benchmarks.delivery.stamps import STAMP_BITS, STAMP_BLOCK, stamp_places

PAGE_SCREENS = 3
STEP_PIXELS = 24
LINE_PIXELS = 20
WINDOW = 480, 320
FONTS = ("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf", "/usr/share/fonts/TTF/DejaVuSansMono.ttf")
BAND_BYTES = 200_000


def page(width: int, height: int) -> Image.Image:
    """Return a tall page of this project's own text, dark on light."""
    found = next((path for path in FONTS if os.path.exists(path)), None)
    font = ImageFont.truetype(found, 14) if found else ImageFont.load_default()
    image = Image.new("RGB", (width, height), (250, 250, 247))
    draw = ImageDraw.Draw(image)
    lines: list[str] = []
    for path in sorted(Path(__file__).resolve().parents[2].joinpath("stripeengine").glob("*.py")):
        lines += path.read_text(encoding="utf-8").splitlines()
    for number in range(height // LINE_PIXELS):
        text = f"{number:5}  {lines[number % len(lines)]}"
        draw.text((24, number * LINE_PIXELS), text, fill=(40, 40 + number % 3 * 30, 60), font=font)
        draw.text((width // 2, number * LINE_PIXELS), lines[-number % len(lines)], fill=(60, 40, 90), font=font)
    return image


class Painter:
    """Draws on one display through python-xlib."""

    def __init__(self, display: str, authority: str) -> None:
        os.environ["XAUTHORITY"] = authority
        from Xlib import X
        from Xlib import display as xlib

        self._x: Any = X
        self._display: Any = xlib.Display(display)
        self._root: Any = self._display.screen().root
        geometry = self._root.get_geometry()
        self.width, self.height = geometry.width, geometry.height
        self._gc: Any = self._root.create_gc(subwindow_mode=X.IncludeInferiors, graphics_exposures=0)
        self._page_height = PAGE_SCREENS * self.height
        self._page: Any = self._root.create_pixmap(self.width, self._page_height, 24)
        self._upload(page(self.width, self._page_height))
        self._display.xfixes_query_version()
        self._root.xfixes_hide_cursor()
        self._offset, self._direction = 0, STEP_PIXELS
        self.drawn = 0
        self.scroll()

    def _upload(self, image: Image.Image) -> None:
        data = image.convert("RGBA").tobytes("raw", "BGRA")
        rows = BAND_BYTES // (self.width * 4)
        for top in range(0, self._page_height, rows):
            count = min(rows, self._page_height - top)
            band = data[top * self.width * 4 : (top + count) * self.width * 4]
            self._page.put_image(self._gc, 0, top, self.width, count, self._x.ZPixmap, 24, 0, band)
        self._display.sync()

    def scroll(self) -> None:
        """Move the page by one step, to its end and back."""
        self._move()
        self._done()

    def _move(self) -> None:
        if not 0 <= self._offset + self._direction <= self._page_height - self.height:
            self._direction = -self._direction
        self._offset += self._direction
        self._root.copy_area(self._gc, self._page, 0, self._offset, self.width, self.height, 0, 0)

    def tick(self) -> None:
        """Change a window in the middle of the page."""
        width, height = WINDOW
        top = self.drawn * 7 % (self._page_height - height)
        x, y = (self.width - width) // 2, (self.height - height) // 2
        self._root.copy_area(self._gc, self._page, 0, top, width, height, x, y)
        self._done()

    def stamp(self) -> None:
        """Scroll, and draw the time into the corners; all of it is sent to the X server together."""
        self._move()
        now = time.monotonic_ns() // 1_000_000
        for x, y in stamp_places(self.width, self.height):
            white, black = [], []
            for number in range(STAMP_BITS):
                bit = now >> number & 1
                for row in (0, 1):
                    place = (x + number * STAMP_BLOCK, y + row * STAMP_BLOCK, STAMP_BLOCK, STAMP_BLOCK)
                    (white if bit != row else black).append(place)
            for colour, places in ((0xFFFFFF, white), (0, black)):
                self._gc.change(foreground=colour)
                self._root.poly_fill_rectangle(self._gc, places)
        self._done()

    def _done(self) -> None:
        self._display.sync()
        self.drawn += 1


def main() -> None:
    """Draw as told until the input ends."""
    painter = Painter(sys.argv[1], sys.argv[2])
    step, interval, due = painter.scroll, 0.0, time.monotonic()
    print("ready", flush=True)
    while True:
        wait = max(0.0, due - time.monotonic()) if interval else None
        if select.select([0], [], [], wait)[0]:
            words = os.read(0, 256).decode().split()
            if not words:
                return
            if words[0] in ("scroll", "tick", "stamp"):
                step, interval, due = getattr(painter, words[0]), 1 / float(words[1]), time.monotonic()
            elif words[0] == "rest":
                interval = 0.0
            print(painter.drawn, flush=True)
        elif interval:
            step()
            due = max(due + interval, time.monotonic() - 0.2)  # what could not be drawn in time is left out


if __name__ == "__main__":
    main()
