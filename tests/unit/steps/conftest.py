"""Archives, images and a config for the tests of the data steps."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.model_contract import ModelContract

WriteZip = Callable[[str, Mapping[str, bytes]], str]


def picture(seed: int, side: int = 48) -> bytes:
    """A PNG of noise, different for each seed."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def draw() -> Callable[..., bytes]:
    """`picture`: PNG bytes of noise by seed and side."""
    return picture


@pytest.fixture
def config() -> RunConfig:
    """A config with two classes of at least one image each."""
    return RunConfig(
        contract=ModelContract(name="cells", classes=("ROUND", "LOBED")),
        validation=ValidateConfig(min_images_per_class=1),
    )


@pytest.fixture
def write_zip(tmp_path: Path) -> WriteZip:
    """A function that writes a zip below `tmp_path` and returns its path."""

    def write(name: str, members: Mapping[str, bytes]) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return str(path)

    return write


@pytest.fixture
def small_archive(write_zip: WriteZip) -> str:
    """A zip with eight images of each class, in folders of different depth."""
    members = {f"top/ROUND/{n}.png": picture(n) for n in range(8)}
    return write_zip("small.zip", members | {f"LOBED/{n}.png": picture(100 + n) for n in range(8)})
