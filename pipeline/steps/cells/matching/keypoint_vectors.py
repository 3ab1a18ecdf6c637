"""One vector per image, computed from its keypoints: copies of a photograph have close vectors.

Vectors of locally aggregated descriptors (VLAD: Jegou et al., IEEE PAMI 34, 2012): each descriptor
is assigned to the nearest visual word, and the residuals are summed per word. Words and axes are
fitted to a sample of bounded size, so that the time grows linearly with the number of images.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from pipeline.steps.cells.matching.keypoints import (
    DESCRIPTOR_LENGTH,
    Floats,
    Keypoints,
    mirrored,
    root_sift,
)

MAX_DIMENSIONS = 128
"""Length of a vector; smaller for fewer images than that."""
_WORDS = 64
_COMPONENTS = 48
_SAMPLED_DESCRIPTORS = 40_000
"""Descriptors to which words and components are fitted."""
_SAMPLED_IMAGES = 1200
"""Images to which the final axes are fitted."""
_KMEANS_ROUNDS = 12
_SEED = 7


@dataclass(frozen=True)
class _Vocabulary:
    """Visual words, and the axes on which descriptors are projected."""

    mean: Floats
    """(2 * DESCRIPTOR_LENGTH,)."""
    axes: Floats
    """(2 * DESCRIPTOR_LENGTH, components)."""
    words: Floats
    """(words, components)."""


def vlad_vectors(images: Sequence[Keypoints]) -> Floats:
    """One unit vector per image (n, d), close for copies of a photograph; 0 without keypoints."""
    rng = np.random.default_rng(_SEED)
    vocabulary = _fit_vocabulary(_sample_descriptors(images, rng))
    if vocabulary is None:
        return np.zeros((len(images), 1), np.float32)
    picked = rng.permutation(len(images))[:_SAMPLED_IMAGES]
    sample = np.stack([_aggregate(images[k], vocabulary) for k in np.sort(picked)])
    mean = sample.mean(axis=0)
    axes = np.linalg.svd(sample - mean, full_matrices=False)[2][:MAX_DIMENSIONS].T
    rows = [(_aggregate(image, vocabulary) - mean) @ axes for image in images]
    has_keypoints = np.array([[len(image.descriptors) > 0] for image in images])
    return np.asarray(_unit(np.stack(rows)) * has_keypoints, dtype=np.float32)


def _sample_descriptors(images: Sequence[Keypoints], rng: np.random.Generator) -> Floats:
    """Descriptors of randomly chosen images, up to the sample size."""
    sampled: list[Floats] = [np.empty((0, 2 * DESCRIPTOR_LENGTH), np.float32)]
    count = 0
    # A few descriptors from each of many images represent an archive better than all of a few.
    per_image = max(8, _SAMPLED_DESCRIPTORS // max(len(images), 1))
    for index in rng.permutation(len(images)):
        image = images[index].descriptors
        sampled.append(_mirror_invariant(image[rng.permutation(len(image))[:per_image]]))
        count += len(sampled[-1])
        if count >= _SAMPLED_DESCRIPTORS:
            break
    return np.concatenate(sampled)


def _fit_vocabulary(sample: Floats) -> _Vocabulary | None:
    """Axes and words fitted to descriptors; None without any."""
    if len(sample) == 0:
        return None
    mean = sample.mean(axis=0)
    covariance = np.cov(sample.T, bias=True)
    axes = np.linalg.eigh(covariance)[1][:, : -_COMPONENTS - 1 : -1].astype(np.float32)
    projected = (sample - mean) @ axes
    # A small sample gets fewer words, so that each has some descriptors.
    count = min(_WORDS, 1 + len(projected) // _WORDS)
    starts = projected[:: len(projected) // count][:count]
    with warnings.catch_warnings():
        # A word without descriptors stays at its start, which is correct here.
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        words = kmeans2(projected, starts, iter=_KMEANS_ROUNDS, minit="matrix")[0]
    return _Vocabulary(mean, axes, np.asarray(words, dtype=np.float32))


def _aggregate(image: Keypoints, vocabulary: _Vocabulary) -> Floats:
    """VLAD vector (words * components,) of one image: normalised sums of residuals per visual word.

    Each word's sum is scaled to a unit vector (Arandjelovic and Zisserman, CVPR 2013), then every
    value is replaced by its signed square root.
    """
    words = vocabulary.words
    centred = _mirror_invariant(image.descriptors) - vocabulary.mean
    projected = np.asarray(centred @ vocabulary.axes, dtype=np.float32)
    # The word with the largest dot product minus half its squared length is the nearest one.
    nearest = (projected @ words.T - (words**2).sum(axis=1) / 2).argmax(axis=1)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, projected - words[nearest])
    normalised = _unit(sums).ravel()
    rooted = np.sign(normalised) * np.sqrt(np.abs(normalised))
    return np.asarray(_unit(rooted[None])[0], dtype=np.float32)


def _mirror_invariant(descriptors: NDArray[np.uint8]) -> Floats:
    """(k, 2 * DESCRIPTOR_LENGTH): sum and absolute difference of a descriptor and its mirror."""
    one, other = root_sift(descriptors), root_sift(mirrored(descriptors))
    both = np.concatenate([one + other, np.abs(one - other)], axis=1)
    return np.asarray(both / 2, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), dtype=np.float32)
