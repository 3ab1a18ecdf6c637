"""One vector for each image of an archive, near those of its copies, made from keypoints.

Vectors of locally aggregated descriptors (VLAD: Jegou et al., IEEE PAMI 34, 2012): each keypoint is
given to the nearest of some typical ones, and what it differs by is summed up for each of those.
The fitting looks at a sample of bounded size, so that the whole grows with the number of images.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from pipeline.steps.cells.matching.keypoints import LENGTH, Floats, Keypoints, mirrored, rooted

DIMENSIONS = 128
"""Of a vector at most; fewer where there are fewer images."""
_WORDS = 64
_COMPONENTS = 48
_DESCRIPTORS = 40_000
_IMAGES = 1200
"""Sample sizes: descriptors that words and components are fitted to, images for the last axes."""
_ROUNDS = 12
_SEED = 7


@dataclass(frozen=True)
class _Vocabulary:
    mean: Floats
    axes: Floats
    """(2 * LENGTH, components)."""
    words: Floats
    """(words, components)."""


def embeddings(images: Sequence[Keypoints]) -> Floats:
    """Unit vectors (n, d), d at most DIMENSIONS; an image without keypoints has zeros."""
    rng = np.random.default_rng(_SEED)
    vocabulary = _fit(_sampled(images, rng))
    if vocabulary is None:
        return np.zeros((len(images), 1), np.float32)
    picked = rng.permutation(len(images))[:_IMAGES]
    sample = np.stack([_aggregated(images[k], vocabulary) for k in np.sort(picked)])
    mean = sample.mean(axis=0)
    axes = np.linalg.svd(sample - mean, full_matrices=False)[2][:DIMENSIONS].T
    rows = [(_aggregated(image, vocabulary) - mean) @ axes for image in images]
    seen = np.array([[len(image.descriptors) > 0] for image in images])
    return np.asarray(_unit(np.stack(rows)) * seen, dtype=np.float32)


def _sampled(images: Sequence[Keypoints], rng: np.random.Generator) -> Floats:
    """Descriptors of images in random order, until there are enough."""
    found: list[Floats] = [np.empty((0, 2 * LENGTH), np.float32)]
    count = 0
    # A few of each image: many images say more about what is typical than many of one.
    share = max(8, _DESCRIPTORS // max(len(images), 1))
    for number in rng.permutation(len(images)):
        image = images[number].descriptors
        found.append(_mirror_free(image[rng.permutation(len(image))[:share]]))
        count += len(found[-1])
        if count >= _DESCRIPTORS:
            break
    return np.concatenate(found)


def _fit(sample: Floats) -> _Vocabulary | None:
    if len(sample) == 0:
        return None
    mean = sample.mean(axis=0)
    covariance = np.cov(sample.T, bias=True)
    axes = np.linalg.eigh(covariance)[1][:, : -_COMPONENTS - 1 : -1].astype(np.float32)
    places = (sample - mean) @ axes
    # A word needs some descriptors to be typical of.
    count = min(_WORDS, 1 + len(places) // _WORDS)
    starts = places[:: len(places) // count][:count]
    with warnings.catch_warnings(action="ignore"):  # an empty cluster keeps its centre
        words, _ = kmeans2(places, starts, iter=_ROUNDS, minit="matrix")
    return _Vocabulary(mean, axes, words)


def _nearest(places: Floats, words: Floats) -> NDArray[np.intp]:
    return np.asarray((places @ words.T - (words**2).sum(axis=1) / 2).argmax(axis=1))


def _aggregated(image: Keypoints, vocabulary: _Vocabulary) -> Floats:
    """Sums of residuals (words * components,), levelled so that no frequent texture drowns them.

    Each word's sum is a unit vector (Arandjelovic and Zisserman, CVPR 2013), then the square root
    is taken of all numbers.
    """
    words = vocabulary.words
    centred = _mirror_free(image.descriptors) - vocabulary.mean
    places = np.asarray(centred @ vocabulary.axes, dtype=np.float32)
    nearest = _nearest(places, words)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, places - words[nearest])
    levelled = _unit(sums).ravel()
    rooted_ = np.sign(levelled) * np.sqrt(np.abs(levelled))
    return np.asarray(_unit(rooted_[None])[0], dtype=np.float32)


def _mirror_free(descriptors: NDArray[np.uint8]) -> Floats:
    """Sum and absolute difference of each descriptor and its mirror image: (k, 2 * LENGTH)."""
    here, there = rooted(descriptors), rooted(mirrored(descriptors))
    both = np.concatenate([here + there, np.abs(here - there)], axis=1)
    return np.asarray(both / 2, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), dtype=np.float32)
