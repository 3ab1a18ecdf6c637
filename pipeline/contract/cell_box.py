"""`CellBox`: a square in a photograph. Imports neither NumPy nor Pillow, for the HTTP schemas."""

from pydantic import BaseModel, ConfigDict


class CellBox(BaseModel):
    """A square in pixels of the upright image; it may reach over the image's border."""

    model_config = ConfigDict(frozen=True)

    left: int
    top: int
    side: int

    def resized(self, side: int) -> "CellBox":
        """A square with the same centre and this side in pixels."""
        shift = (self.side - side) // 2
        return CellBox(left=self.left + shift, top=self.top + shift, side=side)
