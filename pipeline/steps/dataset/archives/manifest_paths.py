"""Which file of an archive a row of `manifest.csv` means."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath
from posixpath import normpath

_MAX_COMPARED = 20_000
"""Files up to which the most similar path is looked for."""


class ArchivePaths:
    """Paths of an archive, found by text that may spell them in another way.

    Separators, letter case, Unicode form and surrounding blanks do not matter, as long as one file
    alone fits. A text is a path from the folder of the table or from the archive's root.
    """

    def __init__(
        self, files: Iterable[str], folder: str = "", aliases: Mapping[str, str] | None = None
    ) -> None:
        """Index the files.

        Args:
            files: paths of the archive.
            folder: that of the table; empty for the root.
            aliases: other readings of a path to the path.
        """
        self._files = frozenset(files)
        self._folder = folder
        self._spelt: dict[str, set[str]] = defaultdict(set)
        for name in self._files:
            self._spelt[_key(name)].add(name)
        for alias, name in (aliases or {}).items():
            self._spelt[_key(alias)].add(name)

    def find(self, text: str) -> list[str]:
        """The files that a text means: one, none, or several if it is ambiguous."""
        texts = dict.fromkeys((_joined(self._folder, text), text))
        exact = {one for one in texts if one in self._files}
        return sorted(exact or {name for one in texts for name in self._spelt.get(_key(one), ())})

    def nearest(self, text: str) -> str:
        """The only file with the same name, else the one with the most similar path, else empty."""
        name = PurePosixPath(_key(text)).name
        same = [path for path in self._files if PurePosixPath(_key(path)).name == name]
        if len(same) == 1:
            return same[0]
        compared = list(self._spelt) if len(self._spelt) <= _MAX_COMPARED else []
        close = get_close_matches(_key(text), compared, n=1, cutoff=0.8)
        return min(self._spelt[close[0]]) if close else ""


def _joined(folder: str, text: str) -> str:
    return f"{folder}/{text}" if folder else text


def _key(path: str) -> str:
    """The form in which paths are compared."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return normpath("/".join(part.strip() for part in folded.replace("\\", "/").split("/")))
