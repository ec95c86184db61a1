"""What the applications show: source text, a page, photographs, clips. Made by arithmetic, the same every time."""

from __future__ import annotations

import html
import keyword
import re
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import turbojpeg  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_TOKEN: Final = re.compile(
    r"(?P<comment>#.*)|(?P<string>\"[^\"\n]*\"|'[^'\n]*')|(?P<number>\b\d[\w.]*)|(?P<word>\w+)|."
)
_COLOURS: Final = {"comment": "38;5;244", "string": "38;5;150", "number": "38;5;215"}
_KEYWORD, _NAME, _CALL = "38;5;176;1", "38;5;253", "38;5;111"


def source_text() -> str:
    """Return this project's engine in Python, some thousand lines."""
    files = sorted((ROOT / "stripeengine").glob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def coloured(text: str) -> str:
    """Return Python source with ANSI colours, as an editor shows it on a dark ground."""

    def paint(match: re.Match[str]) -> str:
        token = match.group()
        colour = _COLOURS.get(match.lastgroup or "", "")
        if match.lastgroup == "word":
            colour = _KEYWORD if keyword.iskeyword(token) else _NAME
            if match.string[match.end() : match.end() + 1] == "(":
                colour = _CALL
        return f"\x1b[{colour}m{token}\x1b[0m" if colour else token

    return "\n".join(_TOKEN.sub(paint, line) for line in text.splitlines())


def page() -> str:
    """Return a long HTML page: this project's documents, with headings, code and tables as they are."""
    body = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            text = html.escape(block.strip())
            if text.startswith("#"):
                body.append(f"<h2>{text.lstrip('# ')}</h2>")
            elif text.startswith(("|", "```", " ")):
                body.append(f"<pre>{text}</pre>")
            else:
                body.append(f"<p>{text}</p>")
    style = (
        "body{font:17px/1.5 'DejaVu Serif',serif;max-width:62em;margin:2em auto;color:#222;background:#fff}"
        "h2{font:bold 26px 'DejaVu Sans',sans-serif;color:#124;border-bottom:2px solid #9bd}"
        "pre{font:13px 'DejaVu Sans Mono',monospace;background:#f3f5f7;padding:1em;overflow:hidden}"
    )
    return f"<!doctype html><meta charset=utf-8><title>bench-page</title><style>{style}</style>" + "\n".join(body)


def gallery(directory: Path, count: int, width: int, height: int) -> str:
    """Write photographs as JPEG files and return a page that shows the next one at each key, the first at Home."""
    encoder = turbojpeg.TurboJPEG()
    for number in range(count):
        pixels = photograph(number, width, height)
        data = encoder.encode(pixels, quality=95, pixel_format=turbojpeg.TJPF_RGB)
        (directory / f"photo{number}.jpg").write_bytes(data)
    images = "".join(f"<img src=photo{number}.jpg>" for number in range(count))
    script = (
        "const all=[...document.images];let at=0;const show=()=>all.forEach((i,n)=>i.style.opacity=n==at?1:0);show();"
        "addEventListener('keydown',e=>{at=e.key=='Home'?0:(at+1)%all.length;show()})"
    )
    style = "body{margin:0;background:#111}img{position:absolute;inset:0;width:100vw;height:100vh;object-fit:contain}"
    return f"<!doctype html><title>bench-photos</title><style>{style}</style>{images}<script>{script}</script>"


def photograph(seed: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return something with the statistics of a photograph: fractal noise, smooth light, edges and grain."""
    generator = np.random.default_rng(seed)
    fy, fx = np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    # Power falls with the square of the frequency in natural pictures.
    amplitude = 1 / np.maximum(np.hypot(fx, fy), 1 / width) ** 1.2
    planes = []
    for _ in range(3):
        noise = np.fft.irfft2(amplitude * np.exp(2j * np.pi * generator.random(amplitude.shape)), s=(height, width))
        planes.append(noise / noise.std())
    base, tint, shape = planes
    rows, columns = np.mgrid[0:height, 0:width]
    light = rows / height * 90 + np.hypot(columns - width * 0.6, rows - height * 0.3) / width * -80
    objects = np.where(shape > 0.4, 45.0, -15.0)
    luma = 120 + 30 * base + light + objects + generator.normal(0, 2.5, base.shape)
    colour = np.stack((luma + 14 * tint + 10, luma - 4 * tint, luma - 18 * tint + 0.2 * objects), axis=2)
    pixels: npt.NDArray[np.uint8] = np.clip(colour, 0, 255).astype(np.uint8)
    return pixels


def clip(path: Path, width: int, height: int) -> None:
    """Write 20 s of video, 30 pictures a second: two seconds to and fro, repeated: any part is like any other."""
    # Drawn at half the size: the fractal takes long, and no film is as sharp as its pixels.
    zoom = f"mandelbrot=size={width // 2}x{height // 2}:rate=30:start_scale=0.05:end_scale=0.01:end_pts=30:maxiter=200"
    motion = f"[0:v]trim=end_frame=30,scale={width}:{height},split[a][b];[b]reverse[c];[a][c]concat,noise=alls=6:allf=t"
    once = path.with_suffix(".once.mkv")
    ffmpeg = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]
    try:
        encode = ["-f", "lavfi", "-i", zoom, "-filter_complex", motion, "-c:v", "mpeg4", "-q:v", "3", "-g", "30"]
        subprocess.run([*ffmpeg, *encode, str(once)], check=True, timeout=120)
        repeat = ["-stream_loop", "9", "-i", str(once), "-c", "copy", str(path)]
        subprocess.run([*ffmpeg, *repeat], check=True, timeout=120)
    except FileNotFoundError:
        raise RuntimeError("this workload needs ffmpeg and ffplay: apt-get install ffmpeg") from None
    once.unlink()
