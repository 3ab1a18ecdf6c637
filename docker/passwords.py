"""`python docker/passwords.py`: fill `.env` with passwords for what docker-compose.yml asks.

Every `${NAME:?}` of the Compose file gets a random value once; what stands there stays. The file
is readable by its owner only, and Compose reads it by itself.
"""

import base64
import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_ASKED = re.compile(r"\$\{(\w+):\?\}")
_FERNET = "AIRFLOW__CORE__FERNET_KEY"


def missing(compose: str, present: str) -> list[str]:
    """Names that a Compose file demands and an env file does not have."""
    have = {line.partition("=")[0] for line in present.splitlines()}
    return sorted(set(_ASKED.findall(compose)) - have)


def password(name: str) -> str:
    """A random value; a Fernet key is 32 bytes in URL-safe base64.

    Others have 64 characters: Airflow's tokens are signed by HMAC-SHA512, whose key has 64 bytes
    (RFC 7518, section 3.2).
    """
    if name == _FERNET:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(32)


def main(root: Path = ROOT) -> None:
    """Append what is missing to `.env`."""
    path = root / ".env"
    path.touch(mode=0o600)
    names = missing((root / "docker-compose.yml").read_text(), path.read_text())
    with path.open("a") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.writelines(f"{name}={password(name)}\n" for name in names)


if __name__ == "__main__":
    main()
