#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images as samples, against Pillow: compare_pillow.py DUMP_SAMPLES.

Random images of every kind are written with Pillow and read back through dump_samples; decoding, resize, crop and arithmetic must give
the same bits. Prints every difference, exits 1 when there is one, 77 without numpy or Pillow."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def picture(rng, h, w):
    """Smooth areas, edges and noise."""
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([x * 255 / max(1, w - 1), y * 255 / max(1, h - 1), (x ^ y) % 256], axis=2) + rng.normal(0, 20, (h, w, 3))
    a[h // 3 : h // 2, w // 4 : w // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def interlaced(im, path):
    """Pillow does not write interlaced files; seven passes of stored rows by hand."""
    import struct
    import zlib

    a, raw = np.asarray(im), b""
    for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        part = a[y0::dy, x0::dx]
        raw += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    with open(path, "wb") as f:
        head = struct.pack(">IIBBBBB", im.width, im.height, 8, 2, 0, 0, 1)
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def write_images(folder, rng):
    """Every kind that is read; the names give the order."""
    im = picture(rng, 97, 131)
    alpha = Image.fromarray(rng.integers(0, 256, (97, 131), dtype=np.uint8))
    rgba, la = im.copy(), im.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    exif = Image.Exif()
    exif[0x0112] = 6
    save = {
        "a420.jpg": (im, {"quality": 80}), "b444.jpg": (im, {"quality": 95, "subsampling": 0}), "c422.jpg": (im, {"subsampling": 1}),
        "d_progressive.jpg": (im, {"progressive": True}), "e_grey.jpg": (im.convert("L"), {}), "f_turned.jpg": (im, {"exif": exif}),
        "g_tall.jpeg": (picture(rng, 201, 64), {}), "h_tiny.png": (picture(rng, 1, 1), {}), "i.png": (im, {}), "j_alpha.png": (rgba, {}),
        "k_grey.png": (im.convert("L"), {}), "l_grey_alpha.png": (la, {}), "m_palette.png": (im.quantize(200), {}),
        "n_palette_clear.png": (im.quantize(13), {"transparency": 3}), "o_one_bit.png": (im.convert("1"), {}), "p_wide.png": (picture(rng, 3, 500), {}),
    }
    for name, (image, options) in save.items():
        image.save(os.path.join(folder, name), **options)
    interlaced(im, os.path.join(folder, "q_interlaced.png"))
    im.save(os.path.join(folder, "r_wrong_ending.png"), format="JPEG")
    return sorted([*save, "q_interlaced.png", "r_wrong_ending.png"])


def resize(im, h, w):
    """The horizontal pass first: Pillow from version 13 on turns the passes round for some tall images."""
    return im.resize((w, im.height), Image.Resampling.BILINEAR).resize((w, h), Image.Resampling.BILINEAR)


def short_side(im, n):
    w, h = im.size
    return resize(im, int(n * h / w), n) if w <= h else resize(im, n, int(n * w / h))


def centre(im, h, w):
    top, left = int(round((im.height - h) / 2.0)), int(round((im.width - w) / 2.0))
    return im.crop((left, top, left + w, top + h))


def floats(im):
    return np.asarray(im).astype(np.float32)


def normal(im):
    x = floats(im) / np.float32(255)
    return ((x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).astype(np.float32)


MEAN = "scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
CASES = [
    ("-", "u8[?,?,?,3]", lambda im: np.asarray(im)),
    ("resize=7x300", "u8[1,7,300,3]", lambda im: np.asarray(resize(im, 7, 300))),
    ("resize=300x7", "u8[1,300,7,3]", lambda im: np.asarray(resize(im, 300, 7))),
    ("resize=97x40", "u8[1,97,40,3]", lambda im: np.asarray(resize(im, 97, 40))),
    ("resize=64", "u8[1,?,?,3]", lambda im: np.asarray(short_side(im, 64))),
    ("resize=64,crop=57," + MEAN, "f32[1,3,57,57]", lambda im: normal(centre(short_side(im, 64), 57, 57)).transpose(2, 0, 1)),
    ("resize=51,crop=48x47,channels=bgr", "f32[?,3,?,?]", lambda im: floats(centre(short_side(im, 51), 48, 47))[..., ::-1].transpose(2, 0, 1)),
    ("layout=nhwc,channels=rgb,scale=0.5", "f32[1,?,?,?]", lambda im: floats(im) * np.float32(0.5)),
    ("resize=33x34", "f32[1,1,33,34]", lambda im: floats(resize(im, 33, 34).convert("L"))[None]),
]


def main(argv):
    bad = 0
    with tempfile.TemporaryDirectory() as room:
        images, out = os.path.join(room, "images"), os.path.join(room, "out")
        os.mkdir(images)
        os.mkdir(out)
        names = write_images(images, np.random.default_rng(7))
        for transform, type_, expected in CASES:
            done = subprocess.run([argv[1], out, transform, type_, images], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{transform}: exit {done.returncode}: {done.stderr.strip()}")
                bad += 1
                continue
            for i, name in enumerate(names):
                with Image.open(os.path.join(images, name)) as im:
                    want = expected(im.convert("RGB"))[None]
                got = np.load(os.path.join(out, f"{i}.x.npy"))
                if got.shape != want.shape or got.dtype != want.dtype or not np.array_equal(got, want):
                    far = np.abs(got.astype(float) - want).max() if got.shape == want.shape else "shape"
                    print(f"{transform}: {name}: {got.dtype}{got.shape}, Pillow {want.dtype}{want.shape}, difference {far}")
                    bad += 1
    print(f"{len(CASES)} transforms on {len(names)} images: {bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
