"""Random X drawing scripts: what they are made of, how a seed becomes one, how a failing one is made short.

A script is a list of plain steps that prints as Python and can be played again from its print (`Performance` in
fixtures_performance.py). Every step is legal wherever it stands: windows that are not there stand for the root, and the
X server clips what lies outside. So any step may be left out of a script that fails. Pure functions, no I/O.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

Step = tuple[Any, ...]
Script = list[Step]
Rectangle = tuple[int, int, int, int]

LARGEST = (1024, 768)
"""What the X server is started with; RandR gives no larger screen."""
SIZES = ((256, 192), (255, 191), (400, 304), (161, 97), (97, 300), (33, 17), (64, 64), (384, 16), (1, 1))
"""Sizes a script may give the screen. It begins with the first."""
EVERY_SIZE = (*SIZES, LARGEST, (801, 607))
WINDOWS = 4
ROOT = WINDOWS
"""Where a step draws: window 0…3, or the root with all windows in it."""
PICTURES = ("noise", "gradient", "photograph", "page", "few colours")
EXACT_MODES = ("auto", "lossless")
MODES = (*EXACT_MODES, "jpeg", "h264")

_WORDS = ("The quick brown fox", "jumps over", "def main() -> None:", "0123456789", "lazy dog, {x: 42}", "iiillll")


def make_script(seed: int, *, chroma: Sequence[str] = ("420", "444"), modes: Sequence[str] = MODES) -> Script:
    """Return the script of a seed. It begins with settings and ends in a mode that promises an exact picture.

    ``chroma`` is what the viewers can decode, ``modes`` what the engine was built with.
    """
    return _Author(random.Random(seed), chroma, modes).write()


class _Author:
    def __init__(self, dice: random.Random, chroma: Sequence[str], modes: Sequence[str]) -> None:
        self.dice = dice
        self.chroma = chroma
        self.modes = modes
        # Most screens are small, which is quick; a frame of a large one is several messages, and copies are worth more.
        self.scale = 3 if dice.random() < 0.06 else 1

    def write(self) -> Script:
        script: Script = [("set", {"mode": self.mode(), **self.settings()})]
        if self.scale > 1:
            script.append(("resize", self.dice.choice(EVERY_SIZE[-2:])))
        if self.dice.random() < 0.7:  # something worth moving
            script.append(("picture", ROOT, self.dice.choice(PICTURES), (0, 0), (0, 0, *LARGEST)))
            script += self.wait()
        for _ in range(self.dice.randint(3, 22)):
            script += self.dice.choices(
                (self.draw, self.picture, self.scroll, self.window, self.wait, self.change, self.rare, self.late),
                (30, 14, 9, 16, 20, 6, 6, 1),
            )[0]()
        ending: dict[str, Any] = {"mode": self.dice.choice(("auto", *EXACT_MODES)), "lossless_when_still": True}
        if self.dice.random() < 0.7:
            ending["max_kbps"] = 0
        script.append(("set", ending))
        return script

    # ---- choices ----

    def mode(self) -> str:
        return self.dice.choice((*self.modes, "auto", "auto", "auto"))

    def rectangle(self) -> Rectangle:
        """Of any size, often on the edges of the engine's tiles, sometimes reaching out of the screen."""
        dice = self.dice
        width = dice.choice((1, 3, 16, dice.randint(1, 40), dice.randint(1, 160), dice.randint(40, 400)))
        height = dice.choice((1, 2, 16, dice.randint(1, 30), dice.randint(1, 120), dice.randint(30, 304)))
        x, y = dice.randint(-20, 250), dice.randint(-20, 190)
        if dice.random() < 0.3:
            x, y, width, height = x // 16 * 16, y // 16 * 16, -(-width // 16) * 16, -(-height // 16) * 16
        return x * self.scale, y * self.scale, width * self.scale, height * self.scale

    def large(self) -> Rectangle:
        """Large enough for the engine to look for moves in it."""
        low, high = (0, 0, 100, 90), (90, 70, 300, 240)
        x, y, width, height = (self.scale * self.dice.randint(*limits) for limits in zip(low, high, strict=True))
        return x, y, width, height

    def colour(self) -> int:
        return self.dice.choice((0, 0xFFFFFF, 0x204060, 0x204061, self.dice.randrange(1 << 24)))

    def where(self) -> int:
        return ROOT if self.dice.random() < 0.6 else self.dice.randrange(WINDOWS)

    # ---- steps ----

    def draw(self) -> Script:
        dice, where = self.dice, self.where()
        x, y, width, height = self.rectangle()
        kind = dice.randrange(6)
        if kind == 0:
            return [("fill", where, (x, y, width, height), self.colour())]
        if kind == 1:
            boxes = [
                self.rectangle()[:2] + (dice.randint(1, 12), dice.randint(1, 12)) for _ in range(dice.randint(2, 12))
            ]
            return [("boxes", where, boxes, self.colour())]
        if kind == 2:
            points = [self.rectangle()[:2] for _ in range(dice.randint(2, 7))]
            return [("lines", where, points, self.colour(), dice.choice((0, 1, 2, 5)))]
        if kind == 3:
            return [("arc", where, (x, y, width, height), self.colour())]
        lines = [dice.choice(_WORDS) * dice.randint(1, 3) for _ in range(dice.randint(1, 6))]
        return [("text", where, (x, y), lines, self.colour(), self.colour())]

    def picture(self) -> Script:
        dice = self.dice
        kind, corner = dice.choice(PICTURES), (dice.randint(0, 60), dice.randint(0, 60))
        return [("picture", self.where(), kind, corner, self.rectangle())]

    def scroll(self) -> Script:
        """Copies inside of a drawable, which mostly overlap; often what a scroll uncovers is filled."""
        dice, where = self.dice, self.where()
        x, y, width, height = self.rectangle() if dice.random() < 0.4 else self.large()
        dx, dy = dice.choice(
            ((0, 1), (0, 16), (0, dice.randint(-60, 60)), (dice.randint(-90, 90), dice.randint(-60, 60)))
        )
        steps: Script = [("copy", where, (x, y, width, height), (x + dx, y + dy), where)]
        if dice.random() < 0.2:
            return [("copy", where, (x, y, width, height), (x + dx, y + dy), self.where())]
        if dice.random() < 0.6 and not dx and dy:
            steps.append(("fill", where, (x, y if dy > 0 else y + height + dy, width, abs(dy)), self.colour()))
        if dice.random() < 0.4:
            times = dice.randint(2, 5)
            steps = [step for _ in range(times) for step in [*steps, ("wait", dice.choice((0, 4, 12)))]]
        return steps

    def window(self) -> Script:
        dice, index = self.dice, self.dice.randrange(WINDOWS)
        x, y, width, height = self.rectangle()
        kind = dice.randrange(8)
        if kind <= 2:
            if dice.random() < 0.5:
                x, y, width, height = self.large()
            opened: Script = [("open", index, (x, y, width, height), self.colour(), dice.choice((0, 0, 1, 3)))]
            if dice.random() < 0.6:
                opened.append(("picture", index, dice.choice(PICTURES), (0, 0), (0, 0, width, height)))
            return opened
        if kind == 3:
            return [("raise", index)] if dice.random() < 0.6 else [("lower", index)]
        if kind == 4:
            return [(dice.choice(("map", "unmap", "unmap", "close")), index)]
        if kind == 5:
            return [("resize window", index, (width, height))]
        if kind == 6 and dice.random() < 0.5:  # dragged
            steps: Script = []
            for _ in range(dice.randint(2, 6)):
                x, y = x + dice.randint(-12, 20), y + dice.randint(-12, 20)
                steps += [("move", index, (x, y)), ("wait", dice.choice((0, 4, 12)))]
            return steps
        return [("move", index, (x, y))]

    def wait(self) -> Script:
        """Let frames come, or let them wait: then the engine gathers what changes meanwhile."""
        name = "pause" if self.dice.random() < 0.25 else "wait"
        return [(name, self.dice.choice((0, 0, 2, 5, 10, 20, 35)))]

    def settings(self) -> dict[str, Any]:
        """A few random settings; the rates and delays are those that let a test be quick."""
        dice = self.dice
        every: dict[str, Callable[[], Any]] = {
            "chroma": lambda: dice.choice(self.chroma),
            "colour_space": lambda: dice.choice(("bt709", "bt601")),
            "colour_range": lambda: dice.choice(("limited", "full")),
            "jpeg_quality": lambda: dice.randint(1, 100),
            "paint_over": lambda: dice.random() < 0.5,
            "paint_over_jpeg_quality": lambda: dice.randint(1, 100),
            "paint_over_colour": lambda: dice.choice(("same", "444", "rgb")),
            "motion_coarser": lambda: dice.randint(0, 12),
            "paint_over_trigger_frames": lambda: dice.randint(1, 12),
            "h264_crf": lambda: dice.randint(5, 50),
            "paint_over_crf": lambda: dice.randint(5, 50),
            "stripe_height": lambda: dice.choice((0, 16, 32, 64, 256)),
            "lossless_when_still": lambda: dice.random() < 0.5,
            "repair_delay_ms": lambda: dice.choice((20, 20, 45, 90, 200)),
            "framerate": lambda: dice.choice((30, 120, 240)),
            "max_kbps": lambda: dice.choice((0, 0, 6000, 20000, 100000)),
        }
        return {name: every[name]() for name in dice.sample(sorted(every), dice.randint(0, 4))}

    def change(self) -> Script:
        changes = self.settings()
        if self.dice.random() < 0.6:
            changes["mode"] = self.mode()
        steps: Script = [("set", changes)] if changes else []
        if self.dice.random() < 0.4:  # before what the old mode has left is repaired
            steps += [("wait", self.dice.choice((8, 15))), *self.scroll()]
        return steps

    def late(self) -> Script:
        """Things happen while nobody takes frames, and a newcomer comes before those that wait."""
        quiet: Script = [("pause", self.dice.choice((8, 20)))]
        return [*quiet, *self.scroll(), *quiet, *self.draw(), *quiet, ("join",)]

    def rare(self) -> Script:
        dice = self.dice
        kind = dice.randrange(8)
        if kind <= 1:
            sizes = SIZES if self.scale == 1 else EVERY_SIZE
            steps: Script = [("resize", dice.choice(sizes)) for _ in range(dice.choice((1, 1, 1, 4)))]
            return [*steps, ("wait", dice.choice((0, 20)))]
        if kind <= 3:
            return self.video()
        if kind == 4:
            return [("scribble", self.rectangle(), self.colour())]
        if kind == 5:
            return [("keys",)]
        return [("rest",)] if kind == 6 else [("join",)]

    def video(self) -> Script:
        """One or two, perhaps in a window that moves, perhaps with somebody typing, or with a newcomer at the end."""
        dice = self.dice
        corners = [(dice.randint(0, 120), dice.randint(0, 80))]
        if dice.random() < 0.3:
            corners.append((dice.randint(120, 200), dice.randint(80, 120)))
        places = [(self.scale * x, self.scale * y, dice.randint(64, 200), dice.randint(64, 160)) for x, y in corners]
        drift = dice.choice(((0, 0), (0, 0), (2, 1)))
        steps: Script = [
            ("video", self.where(), places, dice.randint(8, 24), drift, dice.choice((4, 9)), dice.random() < 0.3)
        ]
        if dice.random() < 0.5:
            steps += self.scroll()
        return [*steps, ("join",)] if dice.random() < 0.2 else steps


def shorten(script: Script, fails: Callable[[Script], bool], seconds: float) -> Script:
    """Return a shorter script for which ``fails`` still holds: ever smaller pieces are left out while there is time.

    The first and last step stay: they set the modes. Where ``fails`` misses a failure the result is only longer.
    """
    deadline = time.monotonic() + seconds
    piece = max(1, (len(script) - 2) // 2)
    while True:
        start, shorter = 1, False
        while start < len(script) - 1:
            if time.monotonic() > deadline:
                return script
            candidate = script[:start] + script[min(start + piece, len(script) - 1) :]
            if fails(candidate):
                script, shorter = candidate, True
            else:
                start += piece
        if piece == 1 and not shorter:
            return script
        piece = max(1, piece // 2)


def print_script(script: Script) -> str:
    """Return the script as Python, one step a line."""
    return "[\n" + "".join(f"    {step!r},\n" for step in script) + "]"
