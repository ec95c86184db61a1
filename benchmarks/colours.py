"""What a browser makes of each way to code colours in H.264, and what a picture at rest costs in each form.

    python -m benchmarks.colours

The first table shows the corners of the RGB cube and grey ramps as one key frame (CRF 4) each, drawn by headless
Chromium, which converts colours in software there. The second shows a page of coloured text and a photograph,
1920×1080, as paint-overs: x264 as the engine sets it up (ultrafast, whole picture), libjpeg-turbo, and the engine's
exact pixels.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from benchmarks.decoder import SIZE, encode, served, text_page
from benchmarks.quality import psnr
from benchmarks.workloads.content import photograph, source_text
from stripeengine.colour import Colour
from stripeengine.decoding.h264 import VideoStream
from stripeengine.decoding.jpeg import JpegDecoder
from stripeengine.reference.encoders import VideoEncoder, encode_jpeg

Pixels = npt.NDArray[np.uint8]

DRAW: Final = """async ([unit, width, height]) => {
  const data = Uint8Array.from(atob(unit), (letter) => letter.charCodeAt(0));
  const frame = await new Promise((resolve, reject) => {
    const decoder = new VideoDecoder({ output: resolve, error: reject });
    decoder.configure({ codec: "avc1.f4001f", codedWidth: width, codedHeight: height, optimizeForLatency: true });
    decoder.decode(new EncodedVideoChunk({ type: "key", timestamp: 0, data }));
    decoder.flush().catch(reject);
  });
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(frame, 0, 0);
  frame.close();
  return [...context.getImageData(0, 0, width, height).data];
}"""


def chart() -> Pixels:
    """Return patches of 16×16: the corners of the RGB cube, and 16 steps of grey and of each primary."""
    rows = [[tuple(255 * (corner >> bit & 1) for bit in range(3)) for corner in range(8)] * 2]
    rows += [
        [tuple(17 * step * part for part in parts) for step in range(16)]
        for parts in itertools.product((0, 1), repeat=3)
    ]
    return np.array(rows, dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def encode_gbr(picture: Pixels, crf: int) -> bytes:
    """Return a 4:4:4 key frame without a matrix: planes green, blue, red, tagged as such."""
    height, width = picture.shape[:2]
    context = VideoCodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv444p"
    context.time_base, context.thread_count = Fraction(1, 60), 1
    context.colorspace, context.color_range, context.color_primaries, context.color_trc = 0, 2, 1, 1
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": str(crf)}
    frame = VideoFrame(width, height, "yuv444p")
    frame.colorspace, frame.color_range, frame.pict_type = 0, 2, PictureType.I
    for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):
        rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
        rows[:, :width] = picture[:, :, channel]
        plane.update(rows.tobytes())
    (packet,) = context.encode(frame)
    return bytes(packet)


def decode_gbr(unit: bytes) -> Pixels:
    """Return the RGB of such a key frame."""
    context = VideoCodecContext.create("h264", "r")
    context.options = {"flags": "low_delay"}
    context.thread_count = 1
    (frame,) = context.decode(av.Packet(unit))
    pixels: Pixels = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    return pixels


def compare_colours() -> str:
    """Return the first table."""
    from playwright.sync_api import sync_playwright

    picture = chart()
    height, width = picture.shape[:2]
    rows = ["| colours | 4:2:0 mean, most | 4:4:4 mean, most |", "|---|---|---|"]
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page()
            page.goto(url)

            def cell(unit: bytes) -> str:
                data = page.evaluate(DRAW, [base64.b64encode(unit).decode(), width, height])
                shown = np.array(data, dtype=np.int16).reshape(height, width, 4)[:, :, :3]
                error = np.abs(shown - picture)
                return f"{error.mean():.2f}, {error.max()}"

            for space, levels in itertools.product(("bt709", "bt601"), ("limited", "full")):
                units = [
                    VideoEncoder(width, height, 4, chroma, Colour(space, levels)).encode(picture, key=True)
                    for chroma in ("420", "444")
                ]
                rows.append(f"| `{space}`, `{levels}` | {cell(units[0])} | {cell(units[1])} |")
            rows.append(f"| RGB (identity matrix) | – | {cell(encode_gbr(picture, 4))} |")
            return f"Chromium {browser.version}\n\n" + "\n".join(rows)
        finally:
            browser.close()


def compare_paint_overs() -> str:
    """Return the second table."""
    lines = [line for line in source_text().splitlines() if line.strip()]
    page = text_page(lines)
    page = (page * np.where(np.arange(SIZE[1])[:, None, None] // 19 % 2, (1.0, 0.6, 0.3), (0.5, 1.0, 0.9))).astype(
        np.uint8
    )

    def video(chroma: str) -> Callable[[Pixels], tuple[int, Pixels]]:
        def run(picture: Pixels) -> tuple[int, Pixels]:
            padded = np.pad(picture, ((0, -SIZE[1] % 16), (0, 0), (0, 0)), mode="edge")
            unit = VideoEncoder(SIZE[0], len(padded), 18, chroma).encode(padded, key=True)
            return len(unit), VideoStream().decode(unit, SIZE[0], len(padded), key=True)[: SIZE[1]]

        return run

    def rgb(picture: Pixels) -> tuple[int, Pixels]:
        unit = encode_gbr(picture, 18)
        return len(unit), decode_gbr(unit)

    def jpeg(chroma: str) -> Callable[[Pixels], tuple[int, Pixels]]:
        def run(picture: Pixels) -> tuple[int, Pixels]:
            data = encode_jpeg(picture, 92, chroma)
            return len(data), JpegDecoder().decode(data, *SIZE)

        return run

    def exact(picture: Pixels) -> tuple[int, Pixels]:
        return encode("exact", np.zeros_like(picture), picture).size, picture

    forms: dict[str, Callable[[Pixels], tuple[int, Pixels]]] = {
        "H.264 4:2:0, CRF 18": video("420"),
        "H.264 4:4:4, CRF 18": video("444"),
        "H.264 RGB, CRF 18": rgb,
        "JPEG 4:2:0, quality 92": jpeg("420"),
        "JPEG 4:4:4, quality 92": jpeg("444"),
        "exact": exact,
    }
    rows = ["| form | text: kB | dB | photograph: kB | dB |", "|---|---|---|---|---|"]
    for name, form in forms.items():
        cells = []
        for picture in (page, photograph(1, *SIZE)):
            size, shown = form(picture)
            cells.append(f"{size / 1000:.0f} | {psnr(shown, picture):.1f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    """Print both tables."""
    begun = time.monotonic()
    print(compare_colours(), "\n")
    print(compare_paint_overs())
    print(f"\n{time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
