"""Fuzzer of the decoder: `python -m benchmarks.fuzz_decoder --seconds 600`.

Image `n` of a seed is always the same: `--first n` reproduces a failure.
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

from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import draw_images
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import IN_DOMAIN

MAX_SECONDS = 2.0
"""Maximum processor time of one image."""
MAX_BYTES = 1_500_000_000
"""Maximum memory growth: more than the largest accepted image in its most expensive mode needs."""
_CONTRACT = ModelContract(name="fuzz", classes=CLASSES, embedding_size=8)
_PNG = b"\x89PNG\r\n\x1a\n"
_KINDS = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP tEXt zTXt iTXt eXIf acTL fcTL fdAT".split()
_EXTREMES = [struct.pack(">I", number) for number in (0, 1, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)]
Chunk = tuple[bytes, bytes]
Random = np.random.Generator


@dataclass
class FuzzResult:
    """Totals of a run."""

    images: int = 0
    accepted: int = 0
    slowest: float = 0.0
    """Maximum processor time, in seconds."""
    grown: int = 0
    """Growth of the peak memory of the process, in bytes."""


class DecoderError(AssertionError):
    """An image that the decoder neither accepted nor refused, or that exceeded a limit."""


def fuzz(seconds: float, *, seed: int = 0, first: int = 0) -> FuzzResult:
    """Decode damaged images for a number of seconds.

    Args:
        seconds: minimum duration.
        seed: of the images.
        first: number of the first image.

    Raises:
        DecoderError: names the first image that fails.
    """
    seeds = _seed_images()
    result, before = FuzzResult(), _peak_bytes()
    end = time.monotonic() + seconds
    for number in itertools.takewhile(lambda _: time.monotonic() <= end, itertools.count(first)):
        data = _damaged(seeds, np.random.default_rng((seed, number)))
        start = time.process_time()
        try:
            result.accepted += _is_accepted(data)
        except Exception as error:
            raise DecoderError(f"image {number} of seed {seed}: {error!r}") from error
        elapsed = time.process_time() - start
        result.images += 1
        result.slowest = max(result.slowest, elapsed)
        result.grown = max(result.grown, _peak_bytes() - before)
        if elapsed > MAX_SECONDS or result.grown > MAX_BYTES:
            raise DecoderError(
                f"image {number} of seed {seed}: expected at most {MAX_SECONDS} s and "
                f"{MAX_BYTES} bytes, received {elapsed:.2f} s and {result.grown} bytes"
            )
    return result


def _is_accepted(data: bytes) -> bool:
    """Whether the image decodes; False for InvalidInputError, ValueError for a wrong crop."""
    try:
        crop = prepare(data, _CONTRACT).crop
    except InvalidInputError:
        return False
    if crop.shape != (_CONTRACT.input_size, _CONTRACT.input_size, 3) or crop.dtype != np.uint8:
        raise ValueError(f"a crop of {crop.shape} {crop.dtype}")
    return True


def _peak_bytes() -> int:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def _seed_images() -> list[bytes]:
    """Small valid images of every supported format and mode."""
    ((_, drawn),) = draw_images(1, 1, IN_DOMAIN)
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
    """A seed image after one to three random kinds of damage."""
    data = seeds[random.integers(len(seeds))]
    for _ in range(random.integers(1, 4)):
        damages: list[Callable[[bytes], bytes]] = [
            partial(_flip, random=random),
            partial(_overwrite, random=random),
            partial(_cut, random=random),
            partial(_splice, other=seeds[random.integers(len(seeds))], random=random),
        ]
        if data.startswith(_PNG):
            damages += [partial(_rechunk, random=random)] * len(damages)
        data = damages[random.integers(len(damages))](data)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    """Replace 1 to 16 bytes."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 17)):
        if changed:
            changed[random.integers(len(changed))] = random.integers(256)
    return bytes(changed)


def _overwrite(data: bytes, random: Random) -> bytes:
    """Overwrite a position in the first 700 bytes by an extreme number."""
    at = int(random.integers(min(len(data), 700) + 1))
    extreme = _EXTREMES[random.integers(len(_EXTREMES))]
    return data[:at] + extreme[: random.integers(1, 5)] + data[at + 4 :]


def _cut(data: bytes, random: Random) -> bytes:
    """Remove a section, or everything from a position on."""
    start, end = sorted(random.integers(len(data) + 1, size=2))
    return data[:start] + (data[end:] if random.random() < 0.5 else b"")


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    """Insert a section of another image, once or 50 times."""
    at = int(random.integers(len(data) + 1))
    start, end = sorted(random.integers(len(other) + 1, size=2))
    times = 1 if random.random() < 0.9 else 50
    return data[:at] + other[start:end] * times + data[at:]


def _rechunk(data: bytes, random: Random) -> bytes:
    """Damage, copy, remove or rename one PNG chunk, with valid lengths and checksums."""
    chunks = _chunks(data)
    if not chunks:
        return data
    index = int(random.integers(len(chunks)))
    kind, body = chunks[index]
    action = random.integers(6)
    if action == 0:
        chunks.insert(index, chunks[random.integers(len(chunks))])
    elif action == 1:
        del chunks[index]
    elif action == 2:
        chunks[index] = (_KINDS[random.integers(len(_KINDS))], body)
    elif action == 3:
        chunks.insert(
            index, (b"zTXt", b"a\0\0" + zlib.compress(bytes(random.integers(3 * 10**6)), 1))
        )
    elif action == 4 and kind == b"IDAT":
        chunks[index] = (kind, _repacked(body, random))
    else:
        chunks[index] = (kind, _overwrite(_flip(body, random), random))
    return _PNG + b"".join(packed(*one) for one in chunks)


def _chunks(data: bytes) -> list[Chunk]:
    """Kinds and bodies, as far as the lengths are valid."""
    chunks, at = [], len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += length + 12
    return chunks


def packed(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with valid length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _repacked(body: bytes, random: Random) -> bytes:
    """The body of an IDAT chunk with damaged pixel rows; unchanged if it cannot be decompressed."""
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
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(fuzz(options.seconds, seed=options.seed, first=options.first))  # noqa: T201
