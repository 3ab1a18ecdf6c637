"""From an archive of cell images to a promoted, served classifier."""
