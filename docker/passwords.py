"""`python docker/passwords.py`: generate the secrets of docker-compose.yml into `.env`.

Every `${NAME:?}` of the Compose file without a value gets a random one; existing values stay. The
file is readable by its owner only (mode 600). Docker Compose reads it.
"""

import base64
import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_REQUIRED = re.compile(r"\$\{(\w+):\?\}")
_FERNET = "AIRFLOW__CORE__FERNET_KEY"


def missing(compose: str, present: str) -> list[str]:
    """Names that the Compose file requires and the env file does not define."""
    defined = {line.partition("=")[0] for line in present.splitlines()}
    return sorted(set(_REQUIRED.findall(compose)) - defined)


def password(name: str) -> str:
    """Random value: 32 bytes in URL-safe base64 for the Fernet key, else 64 hexadecimal digits.

    Airflow signs its tokens with HMAC-SHA512, which requires 64 bytes (RFC 7518, section 3.2).
    """
    if name == _FERNET:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(32)


def main(root: Path = ROOT) -> None:
    """Append the missing variables to `.env`."""
    path = root / ".env"
    path.touch(mode=0o600)
    names = missing((root / "docker-compose.yml").read_text(), path.read_text())
    with path.open("a") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.writelines(f"{name}={password(name)}\n" for name in names)


if __name__ == "__main__":
    main()
