"""The model's contract: declared in a config, stored in the bundle, read by the service."""

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import ArtifactError

PREPROCESSING_VERSION = "2"
"""Changes whenever `preprocessing.prepare` could return other pixels for the same bytes."""


class ModelContract(BaseModel):
    """Classes and preprocessing of a model, which training and serving share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    classes: tuple[str, ...] = Field(min_length=2)
    """In the order of the probabilities."""
    input_size: int = Field(default=128, ge=32, le=512)
    """Side of the network's input in pixels."""
    crop_margin: float = Field(default=2.2, ge=1.0, le=6.0)
    """Minimum side of the square crop over the larger side of the nucleus."""
    crop_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Minimum side of the square crop over the longer side of the photograph. If it exceeds the
    margin's for most nuclei, all cells of one microscope have one scale, and their size is a
    feature; with 0 the scale depends on the nucleus alone."""
    preprocessing_version: str = PREPROCESSING_VERSION
    embedding_size: int = Field(default=32, ge=2, le=512)
    """Size of an embedding: the norm of the PCA residual, then the principal components."""
    golden_tolerance: float = Field(default=0.02, gt=0.0, le=0.2)
    """Largest accepted difference in probability for golden images; int8 engines have a larger one
    (`golden_images.tolerance`)."""

    @property
    def is_current(self) -> bool:
        """Whether this code makes the crops that the model was trained on."""
        return self.preprocessing_version == PREPROCESSING_VERSION

    def require_current(self) -> None:
        """Raise ArtifactError if this code makes other crops than the model was trained on."""
        if not self.is_current:
            raise ArtifactError(
                "the bundle was trained with another preprocessing version",
                expected=PREPROCESSING_VERSION,
                received=self.preprocessing_version,
            )
