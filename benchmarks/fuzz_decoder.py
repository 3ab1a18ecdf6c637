"""Damaged images against the decoder: `python -m benchmarks.fuzz_decoder --seconds 600`.

Image `n` of a seed is always the same, so `--first n` comes back to one that was found.
"""

import argparse
import io
import itertools
import resource
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import draw_images
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import HOME

MOST_SECONDS = 2.0
"""Of processor time for one image."""
MOST_BYTES = 1_500_000_000
"""By which the process may grow: the largest image that is taken, in its dearest mode, and more."""
_CONTRACT = ModelContract(name="fuzz", classes=CLASSES, embedding_size=8)
_PNG = b"\x89PNG\r\n\x1a\n"
_KINDS = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP tEXt zTXt iTXt eXIf acTL fcTL fdAT".split()
_EXTREMES = [struct.pack(">I", number) for number in (0, 1, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)]
Chunk = tuple[bytes, bytes]
Random = np.random.Generator


@dataclass
class Found:
    """What a run saw."""

    images: int = 0
    accepted: int = 0
    slowest: float = 0.0
    """Seconds of processor time."""
    grown: int = 0
    """Bytes by which the process's peak grew."""


class DecoderError(AssertionError):
    """An image that the decoder neither took nor refused, or at too high a price."""


def fuzz(seconds: float, *, seed: int = 0, first: int = 0) -> Found:
    """Prepare damaged images for a while.

    Raises:
        DecoderError: naming the first image that breaks a promise.
    """
    seeds = _seeds()
    found, before = Found(), _peak()
    end = time.monotonic() + seconds
    for number in itertools.count(first):
        if time.monotonic() > end:
            return found
        data = _damaged(seeds, np.random.default_rng((seed, number)))
        begun = time.process_time()
        try:
            found.accepted += _is_taken(data)
        except Exception as error:
            raise DecoderError(f"image {number} of seed {seed}: {error!r}") from error
        spent = time.process_time() - begun
        found.images += 1
        found.slowest = max(found.slowest, spent)
        found.grown = max(found.grown, _peak() - before)
        if spent > MOST_SECONDS or found.grown > MOST_BYTES:
            raise DecoderError(
                f"image {number} of seed {seed}: expected at most {MOST_SECONDS} s and "
                f"{MOST_BYTES} bytes, received {spent:.2f} s and {found.grown} bytes"
            )
    raise AssertionError("numbers do not end")


def _is_taken(data: bytes) -> bool:
    try:
        crop = prepare(data, _CONTRACT).crop
    except InvalidInputError:
        return False
    if crop.shape != (_CONTRACT.input_size, _CONTRACT.input_size, 3) or crop.dtype != np.uint8:
        raise ValueError(f"a crop of {crop.shape} {crop.dtype}")
    return True


def _peak() -> int:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def _seeds() -> list[bytes]:
    """Small whole images of many kinds."""
    ((_, drawn),) = draw_images(1, 1, HOME)
    image = Image.open(io.BytesIO(drawn)).convert("RGB").resize((80, 60))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    jpegs: list[tuple[str, dict[str, object]]] = [
        ("RGB", {"exif": exif}),
        ("RGB", {"progressive": True, "comment": b"a comment"}),
        ("RGB", {"subsampling": 0, "restart_marker_blocks": 2}),
        ("CMYK", {}),
        ("L", {}),
    ]
    kinds = [("JPEG", mode, options) for mode, options in jpegs]
    kinds += [("PNG", mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    kinds.append(("PNG", "P", {"transparency": 3}))
    kinds.append(("PNG", "RGB", {"exif": exif, "icc_profile": b"a profile"}))
    kinds.append(("PNG", "RGB", {"save_all": True, "append_images": [image.rotate(90)]}))
    return [_saved(image.convert(mode), kind, options) for kind, mode, options in kinds]


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _damaged(seeds: list[bytes], random: Random) -> bytes:
    """A seed after one to three kinds of damage."""
    data = seeds[random.integers(len(seeds))]
    for _ in range(random.integers(1, 4)):
        ways: list[Callable[[bytes], bytes]] = [
            partial(_flip, random=random),
            partial(_overwrite, random=random),
            partial(_cut, random=random),
            partial(_splice, other=seeds[random.integers(len(seeds))], random=random),
        ]
        if data.startswith(_PNG):
            ways += [partial(_rechunk, random=random)] * len(ways)
        data = ways[random.integers(len(ways))](data)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    """Some bytes changed."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 17)):
        if changed:
            changed[random.integers(len(changed))] = random.integers(256)
    return bytes(changed)


def _overwrite(data: bytes, random: Random) -> bytes:
    """A number in the head replaced by an extreme one."""
    at = int(random.integers(min(len(data), 700) + 1))
    extreme = _EXTREMES[random.integers(len(_EXTREMES))]
    return data[:at] + extreme[: random.integers(1, 5)] + data[at + 4 :]


def _cut(data: bytes, random: Random) -> bytes:
    """A piece taken out, or everything from some place on."""
    start, end = sorted(random.integers(len(data) + 1, size=2))
    return data[:start] + (data[end:] if random.random() < 0.5 else b"")


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    """A piece of another image put in, now and then many times over."""
    at = int(random.integers(len(data) + 1))
    start, end = sorted(random.integers(len(other) + 1, size=2))
    times = 1 if random.random() < 0.9 else 50
    return data[:at] + other[start:end] * times + data[at:]


def _rechunk(data: bytes, random: Random) -> bytes:
    """One chunk of a PNG damaged, copied, dropped or renamed, with right lengths and sums."""
    chunks = _chunks(data)
    if not chunks:
        return data
    place = int(random.integers(len(chunks)))
    kind, body = chunks[place]
    act = random.integers(6)
    if act == 0:
        chunks.insert(place, chunks[random.integers(len(chunks))])
    elif act == 1:
        del chunks[place]
    elif act == 2:
        chunks[place] = (_KINDS[random.integers(len(_KINDS))], body)
    elif act == 3:
        chunks.insert(
            place, (b"zTXt", b"a\0\0" + zlib.compress(bytes(random.integers(3 * 10**6)), 1))
        )
    elif act == 4 and kind == b"IDAT":
        chunks[place] = (kind, _repacked(body, random))
    else:
        chunks[place] = (kind, _overwrite(_flip(body, random), random))
    return _PNG + b"".join(packed(*one) for one in chunks)


def _chunks(data: bytes) -> list[Chunk]:
    """Kinds and contents, as far as the lengths can be followed."""
    found, at = [], len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def packed(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with the right length and sum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _repacked(body: bytes, random: Random) -> bytes:
    """Compressed rows with damage inside the compression."""
    try:
        rows = zlib.decompressobj().decompress(body, 10**6)
    except zlib.error:
        return body
    return zlib.compress(_splice(_flip(rows, random), rows, random))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(fuzz(given.seconds, seed=given.seed, first=given.first))  # noqa: T201
