"""Objects by URI: S3 through boto3, or a local folder with the same promises.

Both give compare-and-set writes: `if_match` an ETag, or `if_absent`. The ETag of a single-part
object is the MD5 of its content, so a pointer that returns to an earlier content has its earlier
ETag: whoever compares must carry a sequence number.
"""

from pipeline.adapters.storage.document import Document
from pipeline.adapters.storage.local import LocalStore
from pipeline.adapters.storage.protocol import ObjectInfo, ObjectStore
from pipeline.adapters.storage.s3 import S3Store
from pipeline.adapters.storage.s3_errors import split_s3
from pipeline.adapters.storage.uri import UriStore

__all__ = ["Document", "LocalStore", "ObjectInfo", "ObjectStore", "S3Store", "UriStore", "split_s3"]
