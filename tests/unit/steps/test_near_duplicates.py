"""Images of one cell find each other, and those of different cells do not."""

import collections
import io
import math
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.sample.archive import write_archive
from pipeline.steps.fingerprint import Fingerprint, fingerprint, stack
from pipeline.steps.near_duplicates import NEIGHBOURS, candidates, groups_of, similarity, unite

CONTRACT = ModelContract(name="cells", classes=("A", "B"))
CELLS, COPIES = 6, 4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[str]]:
    """Turned, mirrored and shifted copies of drawn cells, and which cell each shows."""
    path = tmp_path_factory.mktemp("sample") / "sample.zip"
    members = write_archive(path, seed=5, cells_per_class=CELLS, copies=COPIES)
    with zipfile.ZipFile(path) as archive:
        return [archive.read(member.file) for member in members], [m.cell for m in members]


@pytest.fixture(scope="module")
def prints(drawn: tuple[list[bytes], list[str]]) -> Fingerprint:
    """Their fingerprints."""
    return stack([fingerprint(prepare(data, CONTRACT)) for data in drawn[0]])


def _pairs(names: list[object]) -> int:
    return sum(math.comb(count, 2) for count in collections.Counter(names).values())


def test_drawn_cells_are_recovered(
    drawn: tuple[list[bytes], list[str]], prints: Fingerprint
) -> None:
    """On drawn smears the groups are the cells: no pair too many, hardly one missing."""
    truth = list(drawn[1])
    found = groups_of(prints, 0.82)
    right = _pairs(list(zip(found, truth, strict=True)))
    assert right / _pairs(list(found)) >= 0.99
    assert right / _pairs(list(truth)) >= 0.95


def test_turns_and_mirrors_do_not_matter(drawn: tuple[list[bytes], list[str]]) -> None:
    """All eight symmetries of a photograph are the same cell."""
    image = Image.open(io.BytesIO(drawn[0][0]))
    copies = [image, *(image.transpose(turn) for turn in Image.Transpose)]
    prints = stack([fingerprint(prepare(_png(copy), CONTRACT)) for copy in copies])
    assert groups_of(prints, 0.9) == [0] * len(copies)


def test_blank_images_have_fingerprints() -> None:
    """Nothing stained, or nothing at all, is a lonely image and not a crash."""
    blanks = [Image.new("RGB", (64, 48), colour) for colour in ("white", "black")]
    prints = stack([fingerprint(prepare(_png(blank), CONTRACT)) for blank in blanks])
    assert np.isfinite(prints.signature).all()
    assert np.isfinite(prints.field).all()
    assert groups_of(prints, 0.5) == [0, 1]


def test_candidates_grow_with_the_number_of_images() -> None:
    """Not every pair is looked at: at most a fixed number for each image."""
    count = 2000
    signatures = np.random.default_rng(0).random((count, 30)).astype(np.float32)
    left, right = candidates(signatures)
    assert len(left) <= count * NEIGHBOURS
    assert (left < right).all()


def test_one_image_is_a_group(prints: Fingerprint) -> None:
    """A single image has nobody to be compared with."""
    one = Fingerprint(prints.signature[:1], prints.field[:1], prints.seen[:1])
    assert groups_of(one, 0.5) == [0]


def test_similarity_is_symmetric(prints: Fingerprint) -> None:
    """Which image is turned onto which makes no difference; an image is most like itself."""
    left, right = np.arange(10), np.arange(10, 20)
    forth, back = similarity(prints, left, right), similarity(prints, right, left)
    np.testing.assert_allclose(forth, back, atol=1e-3)
    np.testing.assert_allclose(similarity(prints, left, left), 1.0, atol=1e-3)


def test_links_are_transitive() -> None:
    """Items linked in a chain are one group, named by its first item."""
    assert unite(6, [(4, 5), (1, 2), (2, 4)]) == [0, 1, 1, 3, 1, 1]


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
