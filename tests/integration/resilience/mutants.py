"""Bundles that must be refused, each with one defect."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifacts import MANIFEST, digest_of

Publish = Callable[[Any, Path], str]
"""Builds and publishes a bundle in its own folder and returns its URI."""


@dataclass(frozen=True)
class Mutant:
    """A defective bundle, the reason in the metric, and a part of the log line."""

    publish: Publish
    reason: str
    words: str


def _altered(change: Callable[[Path], object]) -> Publish:
    """A published bundle with files changed in the store."""

    def publish(stage: Any, folder: Path) -> str:
        uri = str(stage.publish(folder / "bundle", 7).uri)
        change(Path(uri))
        return uri

    return publish


def _forged(change: Callable[[Path], object]) -> Publish:
    """A bundle changed before its hashes and its address were computed."""

    def publish(stage: Any, folder: Path) -> str:
        manifest = stage.publish(folder / "bundle", 7).manifest
        change(folder / "bundle")
        return str(stage.artifacts.publish(folder / "bundle", manifest).uri)

    return publish


def _restated(change: Callable[[dict[str, Any]], object]) -> Publish:
    """A bundle with another manifest, at the address of that manifest."""

    def publish(stage: Any, folder: Path) -> str:
        genuine = Path(stage.publish(folder / "bundle", 7).uri)
        document = json.loads((genuine / MANIFEST).read_text())
        change(document)
        forged = genuine.parent / digest_of(document)[:24]
        shutil.copytree(genuine, forged, dirs_exist_ok=True)
        (forged / MANIFEST).write_text(json.dumps(document))
        return str(forged)

    return publish


def _flip_a_bit(bundle: Path) -> None:
    data = bytearray((bundle / "model.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.bin").write_bytes(data)


def _truncate(bundle: Path) -> None:
    (bundle / "model.bin").write_bytes((bundle / "model.bin").read_bytes()[:-8])


def _link(bundle: Path) -> None:
    """Replace the weights by a link to a file that can change later."""
    (bundle / "model.bin").unlink()
    (bundle / "model.bin").symlink_to(bundle / "model.xml")


def _unsign(bundle: Path) -> None:
    text = (bundle / MANIFEST).read_text()
    (bundle / MANIFEST).write_text(text.replace('"images": 4', '"images": 400'))


def _swap_classes(file: Path) -> None:
    document = json.loads(file.read_text())
    contract = document.get("contract", document)
    contract["classes"] = contract["classes"][::-1]
    file.write_text(json.dumps(document))


def _reverse_golden(bundle: Path) -> None:
    path = bundle / "golden/golden.json"
    examples = json.loads(path.read_text())
    for example in examples:
        example["probabilities"] = example["probabilities"][::-1]
    path.write_text(json.dumps(examples))


def _no_numbers(bundle: Path) -> None:
    weights = bundle / "model.bin"
    one, none = np.float32(255).tobytes(), np.float32("nan").tobytes()
    assert one in weights.read_bytes()
    weights.write_bytes(weights.read_bytes().replace(one, none))


def slow_down(bundle: Path, units: int = 128) -> None:
    """Add a recurrent layer over all pixels, which cannot be parallelised."""
    import openvino as ov
    from openvino import opset13 as ops

    model = ov.Core().read_model(bundle / "model.xml")
    image = model.inputs[0].get_node()
    values = ops.reshape(ops.convert(image, np.float32), np.array([0, -1, 3]), True)
    size = ops.shape_of(values)
    images, steps = (ops.gather(size, np.array([axis]), np.array(0)) for axis in (0, 1))
    start = ops.multiply(
        ops.reduce_mean(values, np.array([1, 2]), True), np.zeros((1, 1, units), np.float32)
    )
    kernels = (np.zeros((1, 3 * units, width), np.float32) for width in (3, units))
    bias = np.zeros((1, 3 * units), np.float32)
    walk = ops.gru_sequence(
        values, start, ops.broadcast(steps, images), *kernels, bias, units, "forward"
    )
    least = ops.reduce_mean(walk.output(1), np.array([1, 2]), False)
    probabilities, embedding = (result.input_value(0) for result in model.get_results())
    answer = ops.add(probabilities, ops.unsqueeze(least, np.array([1]))).output(0)
    slow = ov.Model([answer, embedding], [image], "slow")
    slow.output(0).get_tensor().set_names({"probabilities"})
    slow.output(1).get_tensor().set_names({"embedding"})
    ov.save_model(slow, bundle / "slow.xml", compress_to_fp16=False)
    del model, slow
    for suffix in ("xml", "bin"):
        (bundle / f"slow.{suffix}").replace(bundle / f"model.{suffix}")


MUTANTS = {
    "no bundle": Mutant(lambda stage, _: f"{stage.root}/served/blood_cells/{'0' * 24}", "missing",
                        "does not exist"),
    "flipped bit": Mutant(_altered(_flip_a_bit), "changed", "model.bin does not match"),
    "truncated weights": Mutant(_altered(_truncate), "changed", "model.bin does not match"),
    "missing file": Mutant(
        _altered(lambda bundle: (bundle / "review.json").unlink()), "missing", "review.json"
    ),
    "extra file": Mutant(
        _altered(lambda bundle: (bundle / "extra.xml").touch()), "changed", "extra.xml"
    ),
    "linked file": Mutant(_altered(_link), "changed", "model.bin does not match"),
    "unsigned manifest": Mutant(_altered(_unsign), "changed", "the manifest was changed"),
    "half a manifest": Mutant(
        _altered(lambda bundle: (bundle / MANIFEST).write_text('{"kind"')),
        "unfit", "manifest.json is invalid",
    ),
    "contract swapped in place": Mutant(
        _altered(lambda bundle: _swap_classes(bundle / MANIFEST)), "changed", "was changed"
    ),
    "contract swapped in the manifest": Mutant(
        _restated(lambda document: document["contract"]["classes"].reverse()),
        "changed", "contract is not the one",
    ),
    "contract swapped in the bundle": Mutant(
        _forged(lambda bundle: _swap_classes(bundle / "contract.json")),
        "changed", "contract is not the one",
    ),
    "no contract": Mutant(
        _forged(lambda bundle: (bundle / "contract.json").unlink()), "missing", "no contract"
    ),
    "wrong golden answers": Mutant(_forged(_reverse_golden), "golden", "differs from the stored"),
    "no golden images": Mutant(
        _forged(lambda bundle: shutil.rmtree(bundle / "golden")), "unfit", "no golden images"
    ),
    "another kind": Mutant(
        _restated(lambda document: document.update(kind="bundle")),
        "unfit", "manifest.json is invalid",
    ),
    "names that climb": Mutant(
        _restated(lambda document: document["files"].update({"../escaped": "0" * 64})),
        "unfit", "not a relative path below",
    ),
    "no graph": Mutant(
        _forged(lambda bundle: (bundle / "model.xml").write_text("<net/>")),
        "unfit", "cannot run the model",
    ),
    "no numbers": Mutant(_forged(_no_numbers), "unfit", "not finite"),
    "slow": Mutant(_forged(slow_down), "slow", "too slow"),
}  # fmt: skip
"""Each is refused before it is served; changed files before they are opened."""
