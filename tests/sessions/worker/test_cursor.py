"""The pointer image: a PNG that an independent decoder reads back."""

from __future__ import annotations

import base64
import io
import os

import pytest
from PIL import Image

from sessions.worker import cursor


def test_the_png_holds_the_pixels() -> None:
    rgba = os.urandom(17 * 9 * 4)
    with Image.open(io.BytesIO(cursor.png(17, 9, rgba))) as image:
        assert (image.size, image.mode, image.tobytes()) == ((17, 9), "RGBA", rgba)


def test_the_event_is_the_protocols() -> None:
    event = cursor.event(5, 2, 2, 1, 0, b"\x10\x20\x30\xff" * 4)
    assert {k: v for k, v in event.items() if k != "png"} == {
        "type": "cursor", "serial": 5, "width": 2, "height": 2, "hot_x": 1, "hot_y": 0,
    }  # fmt: skip
    with Image.open(io.BytesIO(base64.b64decode(event["png"]))) as image:
        assert image.getpixel((1, 1)) == (16, 32, 48, 255)


@pytest.mark.parametrize(("width", "height", "rgba"), [(0, 0, b""), (2, 1, b"\x05\x05\x05\x00" * 2)])
def test_an_invisible_pointer_is_hidden(width: int, height: int, rgba: bytes) -> None:
    assert cursor.event(1, width, height, 0, 0, rgba) == {"type": "cursor", "serial": 1, "hidden": True}


def test_a_huge_one_is_cut_to_the_protocols_bounds() -> None:
    event = cursor.event(1, 300, 280, 290, 270, os.urandom(300 * 280 * 4))
    png = base64.b64decode(event["png"])
    assert event["width"] <= 256 and event["height"] <= 256 and len(png) <= 65536
    assert event["hot_x"] < event["width"] and event["hot_y"] < event["height"]
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (event["width"], event["height"])


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="are not"):
        cursor.png(2, 2, b"\0" * 15)
