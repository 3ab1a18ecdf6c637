"""The near-duplicate search matches images of one cell and no others."""

import collections
import io
import math
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.contract.decoding import decode
from pipeline.sample.archive import write_archive
from pipeline.steps.cells.matching.fingerprint import Fingerprint, extract_fingerprint
from pipeline.steps.cells.matching.near_duplicates import (
    NEIGHBOUR_GROUPS,
    NEIGHBOURS,
    MatchedPair,
    component_roots,
    find_matches,
    nearest_pairs,
    pairs_between_groups,
)

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
    """Rotated, mirrored and shifted copies of drawn cells, and the cell of each."""
    return _drawn(tmp_path_factory, CELLS, COPIES)


@pytest.fixture(scope="module")
def matches(drawn: Drawn) -> list[MatchedPair]:
    """Matches of the drawn copies."""
    return find_matches(_fingerprints(drawn[0]), MIN_INLIERS)


def _fingerprints(images: list[bytes]) -> list[Fingerprint]:
    return [extract_fingerprint(decode(data)) for data in images]


def _count_pairs(names: list[object]) -> int:
    return sum(math.comb(count, 2) for count in collections.Counter(names).values())


def _precision_recall(matches: list[MatchedPair], truth: list[str]) -> tuple[float, float]:
    found = component_roots(len(truth), matches)
    correct = _count_pairs(list(zip(found, truth, strict=True)))
    return correct / _count_pairs(list(found)), correct / _count_pairs(list(truth))


def test_drawn_cells_are_recovered(drawn: Drawn, matches: list[MatchedPair]) -> None:
    """Precision and recall of image pairs are 1 on drawn smears."""
    assert _precision_recall(matches, drawn[1]) == (1.0, 1.0)


@pytest.mark.slow
def test_many_drawn_cells_are_recovered(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Precision and recall are 1 for 120 cells with eight copies each."""
    images, truth = _drawn(tmp_path_factory, 30, 8)
    assert _precision_recall(find_matches(_fingerprints(images), MIN_INLIERS), truth) == (1.0, 1.0)


def test_matches_are_a_repeatable_forest(drawn: Drawn, matches: list[MatchedPair]) -> None:
    """No match closes a cycle, and a second search returns the same matches."""
    images, truth = drawn
    assert len(matches) == len(images) - len(set(truth))
    assert find_matches(_fingerprints(images), MIN_INLIERS) == matches


def test_rotations_and_mirrors_match(drawn: Drawn) -> None:
    """All eight symmetries of a photograph are one group."""
    image = Image.open(io.BytesIO(drawn[0][0]))
    copies = [image, *(image.transpose(method) for method in Image.Transpose)]
    fingerprints = [extract_fingerprint(np.asarray(copy)) for copy in copies]
    assert component_roots(len(fingerprints), find_matches(fingerprints, MIN_INLIERS)) == [0] * len(
        fingerprints
    )


def test_blank_images_are_groups_of_their_own() -> None:
    """Uniform images have no matches, and an empty list of images is accepted."""
    blanks = [np.full((48, 64, 3), level, np.uint8) for level in (255, 128, 0)]
    assert find_matches([extract_fingerprint(blank) for blank in blanks], MIN_INLIERS) == []
    assert find_matches([], MIN_INLIERS) == []


def test_candidates_grow_with_the_number_of_images() -> None:
    """Candidates per image are bounded, and the closest pairs come first."""
    vectors = np.random.default_rng(0).standard_normal((2000, 30), dtype=np.float32)
    pairs = np.array(nearest_pairs(vectors, NEIGHBOURS))
    assert len(pairs) <= len(vectors) * NEIGHBOURS
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    distances = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    assert (np.diff(distances) > -1e-4).all()


def test_neighbours_among_few_are_exact() -> None:
    """Nearest neighbours among a few hundred vectors are exact."""
    vectors = np.random.default_rng(1).standard_normal((300, 128), dtype=np.float32)
    found = set(nearest_pairs(vectors, 5))
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    order = np.argsort(distances, axis=1)[:, 1:6]
    assert found == {(min(i, j), max(i, j)) for i, row in enumerate(order.tolist()) for j in row}


def test_compared_pairs_of_groups_are_bounded() -> None:
    """Five image pairs are compared per pair of groups, whatever the size of the groups."""
    vectors = np.random.default_rng(2).standard_normal((600, 16), dtype=np.float32)
    roots = [min(number // 20, 29) * 20 for number in range(600)]
    votes = list(pairs_between_groups(vectors, roots))
    assert 0 < len(votes) <= 30 * NEIGHBOUR_GROUPS
    assert {len(pairs) for pairs in votes} == {5}
    assert all(roots[one] != roots[other] for pairs in votes for one, other in pairs)


def test_matches_are_transitive() -> None:
    """A chain of matches is one component, named by its smallest index; no items have no roots."""
    matches = [MatchedPair(4, 5, 9), MatchedPair(1, 2, 9), MatchedPair(2, 4, 9)]
    assert component_roots(6, matches) == [0, 1, 1, 3, 1, 1]
    assert component_roots(0, []) == []
