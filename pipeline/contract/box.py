"""A square of a photograph; light, because the schemas of the service speak of it."""

from pydantic import BaseModel, ConfigDict


class CellBox(BaseModel):
    """A square in pixels of the upright image; it may reach over the border."""

    model_config = ConfigDict(frozen=True)

    left: int
    top: int
    side: int

    def resized(self, side: int) -> "CellBox":
        """A square of another side around the same middle."""
        shift = (self.side - side) // 2
        return CellBox(left=self.left + shift, top=self.top + shift, side=side)
