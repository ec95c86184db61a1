"""The pointer image: size, hotspot, colours, hidden, straight alpha, oversize."""

from __future__ import annotations

import select
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")


@pytest.fixture
def painter(server: XServer) -> Iterator[Painter]:
    with Painter(server) as running:
        yield running


@pytest.fixture
def source(server: XServer, painter: Painter) -> Iterator[X11Source]:
    with X11Source(socket=server.socket, auth=server.auth) as opened:
        opened.poll()
        opened.cursor()
        yield opened


def show(painter: Painter, cursor: Any) -> None:
    painter.root.change_attributes(cursor=cursor)
    painter.root.warp_pointer(320, 240)
    painter.display.sync()


def bitmap_cursor(painter: Painter, size: int, hot: tuple[int, int], *, visible: bool = True) -> Any:
    """A square cursor of one colour: red if visible, nothing but mask otherwise."""
    picture = painter.root.create_pixmap(size, size, 1)
    mask = painter.root.create_pixmap(size, size, 1)
    picture.fill_rectangle(picture.create_gc(foreground=1), 0, 0, size, size)
    mask.fill_rectangle(mask.create_gc(foreground=int(visible)), 0, 0, size, size)
    return picture.create_cursor(mask, (0xFFFF, 0, 0), (0, 0, 0), *hot)


def argb_cursor(painter: Painter, width: int, height: int, argb: list[int], hot: tuple[int, int]) -> Any:
    """A cursor with premultiplied alpha, by the RENDER extension, which python-xlib does not know."""
    from Xlib import X
    from Xlib.protocol import rq

    display = painter.display.display
    opcode = painter.display.query_extension("RENDER").major_opcode

    class Formats(rq.ReplyRequest):
        _request = rq.Struct(rq.Opcode(opcode), rq.Opcode(1), rq.RequestLength())
        _reply = rq.Struct(
            rq.ReplyCode(),
            rq.Pad(1),
            rq.Card16("sequence_number"),
            rq.ReplyLength(),
            rq.Card32("count"),
            rq.Binary("rest"),
        )

    class CreatePicture(rq.Request):
        _request = rq.Struct(
            rq.Opcode(opcode),
            rq.Opcode(4),
            rq.RequestLength(),
            rq.Card32("picture"),
            rq.Card32("drawable"),
            rq.Card32("format"),
            rq.Card32("mask"),
        )

    class CreateCursor(rq.Request):
        _request = rq.Struct(
            rq.Opcode(opcode),
            rq.Opcode(27),
            rq.RequestLength(),
            rq.Card32("cursor"),
            rq.Card32("picture"),
            rq.Card16("x"),
            rq.Card16("y"),
        )

    reply = Formats(display=display)
    rest = bytes(reply.rest)[20:]
    formats = [struct.unpack_from("<IBBxxHHHHHHHHI", rest, i * 28) for i in range(reply.count)]
    argb32 = next(f[0] for f in formats if f[2] == 32 and f[3:11] == (16, 255, 8, 255, 0, 255, 24, 255))
    pixmap = painter.root.create_pixmap(width, height, 32)
    gc = pixmap.create_gc()
    for row in range(height):  # a request holds 256 kB at most
        data = struct.pack(f"<{width}I", *argb[row * width : (row + 1) * width])
        pixmap.put_image(gc, 0, row, width, 1, X.ZPixmap, 32, 0, data)
    picture, cursor = display.allocate_resource_id(), display.allocate_resource_id()
    CreatePicture(display=display, picture=picture, drawable=pixmap.id, format=argb32, mask=0)
    CreateCursor(display=display, cursor=cursor, picture=picture, x=hot[0], y=hot[1])
    return cursor


def wait_cursor(source: X11Source) -> tuple[int, int, int, int, int, bytes]:
    for _ in range(50):
        if select.select([source.fileno()], [], [], 0.1)[0] and source.poll().cursor:
            return source.cursor()
    raise AssertionError("no new pointer image within 5 s")


def test_image_and_hotspot(source: X11Source, painter: Painter) -> None:
    show(painter, bitmap_cursor(painter, 24, (7, 19)))
    serial, width, height, hot_x, hot_y, rgba = wait_cursor(source)
    assert (width, height, hot_x, hot_y) == (24, 24, 7, 19)
    assert rgba == bytes((255, 0, 0, 255)) * 24 * 24
    show(painter, bitmap_cursor(painter, 8, (0, 0)))
    assert wait_cursor(source)[0] != serial


def test_empty_image_is_hidden(source: X11Source, painter: Painter) -> None:
    show(painter, bitmap_cursor(painter, 16, (3, 3), visible=False))
    _, width, height, hot_x, hot_y, rgba = wait_cursor(source)
    assert (width, height, hot_x, hot_y, rgba) == (0, 0, 0, 0, b"")


def test_alpha_is_straightened(source: X11Source, painter: Painter) -> None:
    pixels = [0xFF102030, 0x80402000, 0x00000000, 0x01010000, 0x80FF0000, 0xFFFFFFFF]
    show(painter, argb_cursor(painter, 3, 2, pixels, (2, 1)))
    _, width, height, hot_x, hot_y, rgba = wait_cursor(source)
    assert (width, height, hot_x, hot_y) == (3, 2, 2, 1)
    assert [tuple(rgba[i : i + 4]) for i in range(0, 24, 4)] == [
        (0x10, 0x20, 0x30, 255),
        (128, 64, 0, 128),
        (0, 0, 0, 0),
        (255, 0, 0, 1),
        (255, 0, 0, 128),  # more colour than alpha allows: cut, not wrapped
        (255, 255, 255, 255),
    ]


def test_oversize_is_cut_around_the_hotspot(source: X11Source, painter: Painter) -> None:
    width, height, hot = 300, 280, (290, 10)
    pixels = [0xFF000000 | (i % width) << 8 | i // width & 0xFF for i in range(width * height)]
    show(painter, argb_cursor(painter, width, height, pixels, hot))
    _, cut_width, cut_height, hot_x, hot_y, rgba = wait_cursor(source)
    assert (cut_width, cut_height) == (256, 256)
    assert (hot_x, hot_y) == (290 - 44, 10)
    column, row = 44 + 255, 0
    assert tuple(rgba[255 * 4 : 256 * 4]) == (column >> 8, column & 0xFF, row, 255)
