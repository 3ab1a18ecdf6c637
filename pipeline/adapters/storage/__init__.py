"""Object storage by URI: S3 through boto3, or a local folder with the same guarantees.

`protocol` is the interface, `s3` and `local` implement it, `uri` chooses by URI; `s3_errors`
translates boto3's errors; `document` changes one object by compare-and-set.

Both stores write conditionally: `if_match` an ETag, or `if_absent`. The ETag of a single-part
object is the MD5 of its content, so an object that returns to an earlier content has its earlier
ETag: a value that is compared needs a sequence number.

When it fails: UnreachableError (retry), BucketError (check STORE_URI and credentials),
ConflictError (another writer was first; retry), MissingArtifactError (no such object).
"""

from pipeline.adapters.storage.document import Document
from pipeline.adapters.storage.local import LocalStore
from pipeline.adapters.storage.protocol import ObjectInfo, ObjectStore
from pipeline.adapters.storage.s3 import S3Store
from pipeline.adapters.storage.s3_errors import split_s3
from pipeline.adapters.storage.uri import UriStore

__all__ = ["Document", "LocalStore", "ObjectInfo", "ObjectStore", "S3Store", "UriStore", "split_s3"]
