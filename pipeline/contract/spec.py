"""What a model promises its callers: declared once in a config, carried by the bundle."""

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import ArtifactError

PREPROCESSING_VERSION = "2"
"""Changes whenever `preprocessing.prepare` could return other pixels for the same bytes."""


class ModelContract(BaseModel):
    """Everything that serving needs to know of a model, and nothing it may choose itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    classes: tuple[str, ...] = Field(min_length=2)
    """In the order of the probabilities."""
    input_size: int = Field(default=128, ge=32, le=512)
    """Side of the square the network sees, in pixels."""
    crop_margin: float = Field(default=2.2, ge=1.0, le=6.0)
    """Least side of the square crop over the larger side of the nucleus."""
    crop_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Least side of the square crop over the longer side of the photograph. With a margin that is
    smaller for most nuclei all cells of one microscope are seen at one scale, so that their size
    tells; 0 leaves the scale to the nucleus."""
    preprocessing_version: str = PREPROCESSING_VERSION
    embedding_size: int = Field(default=32, ge=2, le=512)
    """Numbers of an embedding: how far outside the principal components, and those."""
    golden_tolerance: float = Field(default=0.02, gt=0.0, le=0.2)
    """Largest difference in probability that replayed golden images may show; eight bits have more
    (`golden.tolerance`)."""

    @property
    def is_current(self) -> bool:
        """Whether this code cuts the pixels that the model was trained on."""
        return self.preprocessing_version == PREPROCESSING_VERSION

    def require_current(self) -> None:
        """Refuse a model that this code would show other pixels than it was trained on.

        Raises:
            ArtifactError: when the preprocessing changed since.
        """
        if not self.is_current:
            raise ArtifactError(
                "the bundle was trained with another preprocessing",
                expected=PREPROCESSING_VERSION,
                received=self.preprocessing_version,
            )
