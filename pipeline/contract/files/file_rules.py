"""The table of files that are no images: names and folders, each with its reason.

docs/archives.md shows the same table, and the page of the service gets it as JSON.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ignored", "skipped"]
"""`ignored`: metadata that programs add. `skipped`: a file that a person added, but no image."""


@dataclass(frozen=True)
class FileRule:
    """Names of files and folders that are left out for one reason.

    In a name, `*` stands for any letters, and a space for a space, `_` or `-`; letter case does not
    matter.
    """

    kind: Kind
    reason: str
    names: tuple[str, ...] = ()
    """Names of files."""
    folders: tuple[str, ...] = ()
    """Names of folders; every file below one is left out."""
    unless_classes_below: bool = False
    """Whether a class folder below such a folder makes its files images again."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _suffixes(text: str) -> tuple[str, ...]:
    return tuple(f"*.{suffix}" for suffix in text.split())


RULES = (
    FileRule(
        "ignored",
        "macOS metadata",
        ("._*", "Icon\r", *_names(".DS_Store .localized .VolumeIcon.icns .apdisk")),
        (
            *_names("__MACOSX .Spotlight-V100 .Trashes .fseventsd .TemporaryItems .AppleDouble"),
            *_names(".AppleDB .AppleDesktop .DocumentRevisions-V100"),
            *("Network Trash Folder", "Temporary Items"),
        ),
    ),
    FileRule(
        "ignored",
        "Windows metadata",
        (
            *_names("Thumbs.db Thumbs.db:* ehthumbs.db ehthumbs_vista.db desktop.ini autorun.inf"),
            *_names("*Zone.Identifier IconCache.db *.lnk *.url"),
        ),
        (*_names("$RECYCLE.BIN RECYCLER"), "System Volume Information"),
    ),
    FileRule(
        "ignored",
        "Linux metadata",
        _names(".directory .nfs* .fuse_hidden* *.desktop"),
        _names(".thumbnails .Trash-* lost+found"),
    ),
    FileRule(
        "ignored",
        "network storage metadata",
        _names("*@SynoEAStream *@SynoResource SYNOPHOTO_* SYNOFILE_THUMB*"),
        _names("@eaDir @tmp #recycle #snapshot @Recycle @Recently-Snapshot .@__thumb .snapshot"),
    ),
    FileRule(
        "ignored",
        "camera metadata",
        (
            *_suffixes("thm xmp ctg lrv aae mrk ind bdm dop pp3 cos lrcat"),
            *_names(".picasa.ini Picasa.ini ZbThumbnail.info .nomedia .BridgeSort .BridgeCache*"),
        ),
        _names("CaptureOne .comments .xvpics"),
    ),
    FileRule("ignored", "lock of an open document", _names("~$* .~lock.*")),
    FileRule(
        "ignored",
        "backup or unfinished copy",
        ("*~", "#*#", *_suffixes("bak tmp temp swp swo orig part partial crdownload filepart")),
    ),
    FileRule(
        "ignored",
        "version control",
        _names(".git .gitkeep .gitignore .gitattributes .gitmodules .keep .placeholder *.dvc"),
        _names(".git .svn .hg .bzr CVS .dvc"),
    ),
    FileRule(
        "ignored",
        "software cache",
        _names("*.pyc .Rhistory .RData .Rprofile *.Rproj"),
        _names(".ipynb_checkpoints __pycache__ .Rproj.user .idea .vscode .cache node_modules"),
    ),
    FileRule("ignored", "hidden file", (".*",), (".*",)),
    FileRule("ignored", "empty file"),
    FileRule(
        "skipped",
        "text",
        (
            *_suffixes("txt text md markdown rst rtf log nfo tex bib cff asc sig md5 sha1 sha256"),
            *_names("README README.* LICENSE LICENSE.* LICENCE COPYING NOTICE AUTHORS CITATION"),
            *_names("CHANGELOG Makefile Dockerfile"),
        ),
    ),
    FileRule(
        "skipped",
        "document",
        _suffixes(
            "pdf doc docx odt ppt pptx odp pages key html htm mhtml epub ps eps ai svg eml msg"
        ),
    ),
    FileRule(
        "skipped",
        "table",
        _suffixes(
            "csv tsv tab xls xlsx xlsm xlsb ods numbers parquet feather dta sav sas7bdat sqlite "
            "sqlite3 db mdb accdb arff"
        ),
    ),
    FileRule(
        "skipped",
        "annotation or settings",
        _suffixes(
            "xml json jsonl ndjson geojson yaml yml toml ini cfg conf prototxt pbtxt names roi "
            "ndpa qpdata qpproj imzml"
        ),
    ),
    FileRule(
        "skipped",
        "program",
        _suffixes(
            "py ipynb m r rmd qmd jl sh bat cmd ps1 js ts css c cc cpp h hpp java ijm groovy cs go "
            "rs sql exe dll so msi dylib command"
        ),
    ),
    FileRule(
        "skipped",
        "array or model",
        _suffixes(
            "mat npy npz h5 hdf5 pkl pickle pt pth ckpt onnx keras pb tflite rds rda rdata joblib "
            "safetensors tfrecord tfrecords nii nrrd mha mhd"
        ),
    ),
    FileRule(
        "skipped",
        "video or sound",
        _suffixes("mp4 mov avi mkv wmv mpg mpeg m4v mts m2ts 3gp webm wav mp3 m4a ogg flac"),
    ),
    FileRule(
        "skipped",
        "mask",
        (
            *("mask.*", "mask *", "* mask.*", "* masks.*", "* segmentation.*"),
            *("* groundtruth.*", "* ground truth.*"),
        ),
        ("mask", "masks", "groundtruth", "ground truth"),
    ),
    FileRule(
        "skipped",
        "folder of masks or annotations",
        (),
        (
            *("mask *", "masks *", "* mask", "* masks", "gt", "contours"),
            *("segmentation", "segmentations", "SegmentationClass", "SegmentationObject"),
            *("annotation", "annotations", "annot", "annots", "label", "labels"),
            *("labelmap", "labelmaps", "bbox", "bboxes", "bounding boxes"),
        ),
        unless_classes_below=True,
    ),
    FileRule("skipped", "unknown file type"),
)
"""The first rule that fits a file decides."""
