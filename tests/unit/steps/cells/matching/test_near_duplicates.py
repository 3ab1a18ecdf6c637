"""Images of one cell find each other, and those of different cells do not."""

import collections
import io
import math
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.contract.decoding import decode
from pipeline.sample.archive import write_archive
from pipeline.steps.cells.matching.near_duplicates import (
    NEIGHBOUR_GROUPS,
    NEIGHBOURS,
    Tie,
    between_groups,
    find_ties,
    nearest,
    unite,
)
from pipeline.steps.cells.matching.view import View, view

CELLS, COPIES = 6, 4
MIN_INLIERS = 15

Drawn = tuple[list[bytes], list[str]]


def _drawn(folder: pytest.TempPathFactory, cells: int, copies: int) -> Drawn:
    path = folder.mktemp("sample") / "sample.zip"
    members = write_archive(path, seed=5, cells_per_class=cells, copies=copies)
    with zipfile.ZipFile(path) as archive:
        return [archive.read(member.file) for member in members], [m.cell for m in members]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Turned, mirrored and shifted copies of drawn cells, and which cell each shows."""
    return _drawn(tmp_path_factory, CELLS, COPIES)


def _look(images: list[bytes]) -> list[View]:
    return [view(decode(data)) for data in images]


def _pairs(names: list[object]) -> int:
    return sum(math.comb(count, 2) for count in collections.Counter(names).values())


def _precision_recall(images: list[bytes], truth: list[str]) -> tuple[float, float]:
    found = unite(len(images), find_ties(_look(images), MIN_INLIERS))
    right = _pairs(list(zip(found, truth, strict=True)))
    return right / _pairs(list(found)), right / _pairs(list(truth))


def test_drawn_cells_are_recovered(drawn: Drawn) -> None:
    """On drawn smears the groups are the cells: no pair too many, none missing."""
    assert _precision_recall(*drawn) == (1.0, 1.0)


@pytest.mark.slow
def test_many_drawn_cells_are_recovered(tmp_path_factory: pytest.TempPathFactory) -> None:
    """So are those of 120 cells with eight copies each."""
    assert _precision_recall(*_drawn(tmp_path_factory, 30, 8)) == (1.0, 1.0)


def test_ties_are_a_repeatable_forest(drawn: Drawn) -> None:
    """No tie closes a circle, and a second search finds the very same ones."""
    views = _look(drawn[0])
    first, second = (find_ties(views, MIN_INLIERS) for _ in range(2))
    assert len(first) == len(views) - len(set(drawn[1]))
    assert first == second


def test_turns_and_mirrors_do_not_matter(drawn: Drawn) -> None:
    """All eight symmetries of a photograph are the same cell."""
    image = Image.open(io.BytesIO(drawn[0][0]))
    copies = [image, *(image.transpose(turn) for turn in Image.Transpose)]
    views = [view(np.asarray(copy)) for copy in copies]
    assert unite(len(views), find_ties(views, MIN_INLIERS)) == [0] * len(views)


def test_blank_images_are_groups_of_their_own() -> None:
    """Nothing stained, or nothing at all, is a lonely image and not a crash."""
    blanks = [np.full((48, 64, 3), level, np.uint8) for level in (255, 128, 0)]
    assert find_ties([view(blank) for blank in blanks], MIN_INLIERS) == []
    assert find_ties([], MIN_INLIERS) == []


def test_candidates_grow_with_the_number_of_images() -> None:
    """Not every pair is looked at: at most a fixed number for each image, nearest pairs first."""
    vectors = np.random.default_rng(0).standard_normal((2000, 30), dtype=np.float32)
    pairs = np.array(nearest(vectors, NEIGHBOURS))
    assert len(pairs) <= len(vectors) * NEIGHBOURS
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    apart = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    assert (np.diff(apart) > -1e-4).all()


def test_neighbours_among_few_are_exact() -> None:
    """Among a few hundred groups none that is near is overlooked."""
    vectors = np.random.default_rng(1).standard_normal((300, 128), dtype=np.float32)
    found = set(nearest(vectors, 5))
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    order = np.argsort(apart, axis=1)[:, 1:6]
    assert found == {(min(i, j), max(i, j)) for i, row in enumerate(order.tolist()) for j in row}


def test_groups_send_a_few_images_each() -> None:
    """However large groups are, a bounded number of pairs speaks for them."""
    vectors = np.random.default_rng(2).standard_normal((600, 16), dtype=np.float32)
    roots = [min(number // 20, 29) * 20 for number in range(600)]
    votes = list(between_groups(vectors, roots))
    assert 0 < len(votes) <= 30 * NEIGHBOUR_GROUPS
    assert {len(pairs) for pairs in votes} == {5}
    assert all(roots[one] != roots[other] for pairs in votes for one, other in pairs)


def test_links_are_transitive() -> None:
    """Items tied in a chain are one group, named by its first item."""
    assert unite(6, [Tie(4, 5, 9), Tie(1, 2, 9), Tie(2, 4, 9)]) == [0, 1, 1, 3, 1, 1]
