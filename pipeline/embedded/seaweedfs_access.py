"""Access control of the embedded SeaweedFS: S3 keys, server tokens and the gRPC certificate.

The S3 port requires a key of `identities`, the volume server a signed token, and every gRPC port
the certificate. The HTTP ports of master and filer are off (`-disableHttp`). MLflow answers every
user of this machine, so its key gives access to its own folder of the bucket only
(docs/security.md).
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.adapters.storage.local import replace_file
from pipeline.settings import EMBEDDED_STORE_URI, Settings, bucket_of

_TOKENS = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)
_GRPC_COMPONENTS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")
_COMMON_NAME = "leukoflow-object-store"
_VALIDITY = timedelta(days=3650)
_MLFLOW_ID = "leukoflow-mlflow"
MLFLOW_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "LEUKOFLOW_MLFLOW_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "LEUKOFLOW_MLFLOW_SECRET",
}
"""Variable of MLflow's process: variable of the stack's environment that has its value."""
MLFLOW_FOLDER = "mlflow"
"""Folder below the store's root for the files that MLflow's clients upload."""


def bucket(settings: Settings) -> str:
    """Name of the bucket that SeaweedFS creates: that of `store_uri`, else `leukoflow`."""
    return bucket_of(settings.store_uri) or bucket_of(EMBEDDED_STORE_URI)


def environment(settings: Settings) -> dict[str, str]:
    """Variables of SeaweedFS's security settings (see `weed scaffold`), and MLflow's own key."""
    certificate, key = (str(path) for path in _certificate_paths(settings.leukoflow_home))
    variables = {name: _derive_secret(settings, name) for name in _TOKENS}
    variables["WEED_GRPC_CA"] = certificate
    for component in _GRPC_COMPONENTS:
        variables[f"WEED_GRPC_{component}_CERT"] = certificate
        variables[f"WEED_GRPC_{component}_KEY"] = key
    variables[MLFLOW_VARIABLES["AWS_ACCESS_KEY_ID"]] = _MLFLOW_ID
    variables[MLFLOW_VARIABLES["AWS_SECRET_ACCESS_KEY"]] = _derive_secret(settings, _MLFLOW_ID)
    return variables


def write_access_files(settings: Settings) -> None:
    """Write SeaweedFS's identities, and a certificate if there is none (mode 600)."""
    folder = _folder(settings.leukoflow_home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(folder / "identities.json", json.dumps(identities(settings), indent=2).encode())
    certificate, key = _certificate_paths(settings.leukoflow_home)
    if not (certificate.is_file() and key.is_file()):
        for path, text in zip((key, certificate), _make_certificate(), strict=True):
            replace_file(path, text.encode())


def identities(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """SeaweedFS's S3 configuration: full access for the stack, its own folder for MLflow."""
    root = settings.store_uri.removeprefix("s3://").strip("/")
    own = f"{root}/{MLFLOW_FOLDER}" if bucket_of(settings.store_uri) else ""
    actions = [f"{verb}:{own}/*" for verb in ("Read", "Write", "List")] if own else []
    stack = (settings.aws_access_key_id, settings.aws_secret_access_key.get_secret_value())
    return {
        "identities": [
            _identity("stack", *stack, actions=["Admin"]),
            _identity("mlflow", _MLFLOW_ID, _derive_secret(settings, _MLFLOW_ID), actions=actions),
        ]
    }


def _identity(name: str, key_id: str, secret: str, *, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": key_id, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _derive_secret(settings: Settings, purpose: str) -> str:
    """Secret for one purpose, derived from the store's secret key by HMAC-SHA256."""
    secret = settings.aws_secret_access_key.get_secret_value().encode()
    return hmac.digest(secret, purpose.encode(), hashlib.sha256).hex()


def _folder(home: Path) -> Path:
    return home / "object-store"


def _certificate_paths(home: Path) -> tuple[Path, Path]:
    return _folder(home) / "certificate.pem", _folder(home) / "key.pem"


def _make_certificate() -> tuple[str, str]:
    """New private key and self-signed certificate (PEM), shared by servers and clients."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
