"""The check: which paths ask for a key, and whose keys open it."""

import logging
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from bento_service.http.api_key_check import ApiKeyCheck, ApiKeyFile
from bento_service.http.errors import HttpError
from pipeline.adapters import api_key_file
from pipeline.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of the key file, which does not exist yet."""
    return tmp_path / "api-keys.json"


def check_of(path: Path, *, required: bool = False) -> ApiKeyCheck:
    return ApiKeyCheck(ApiKeyFile(path, required=required))


def authenticate(check: ApiKeyCheck, key: str = "", path: str = "/classify") -> str:
    return check.authenticate(path, Headers({"x-api-key": key} if key else {}))


def refused(check: ApiKeyCheck, key: str = "", path: str = "/classify") -> HttpError:
    with pytest.raises(HttpError) as error:
        authenticate(check, key, path)
    return error.value


def test_without_a_key_file_no_key_is_required(path: Path) -> None:
    """After the last key is revoked every request is rejected."""
    check = check_of(path)
    assert authenticate(check, "whatever") == ""
    key = api_key_file.add(path, "lab-1")
    api_key_file.revoke(path, "lab-1")
    assert refused(check, key).status == 401
    assert refused(check).status == 401


def test_a_configured_key_file_must_exist(path: Path) -> None:
    """A folder that is not mounted must not grant access."""
    check = ApiKeyCheck.of(Settings(api_keys_file=path))
    assert refused(check).detail.code == "keys_unreadable"
    assert authenticate(check, api_key_file.add(path, "lab-1")) == "lab-1"


def test_each_key_is_accepted_and_named(path: Path) -> None:
    """In either header; not a wrong key, no key, a name or a hash."""
    check, ours = (
        check_of(path),
        {name: api_key_file.add(path, name) for name in ("lab-1", "lab-2")},
    )
    for name, key in ours.items():
        assert authenticate(check, key) == name
        assert check.authenticate("/model", Headers({"authorization": f"bearer {key}"})) == name
    kept = api_key_file.read(path)[0].sha256
    for wrong in ("", "lab-1", kept, ours["lab-1"][:-1], ours["lab-1"] + "x", "\u00ff"):
        error = refused(check, wrong)
        assert (error.status, error.headers) == (401, {"WWW-Authenticate": "Bearer"})
        assert "lab" not in str(error.detail)


def test_a_change_of_the_file_is_followed(path: Path) -> None:
    """New, revoked and rotated keys apply without a restart."""
    check, first = check_of(path), api_key_file.add(path, "lab-1")
    assert authenticate(check, first) == "lab-1"
    second = api_key_file.add(path, "lab-2")
    assert authenticate(check, second) == "lab-2"
    api_key_file.revoke(path, "lab-1")
    assert refused(check, first).status == 401
    assert authenticate(check, second) == "lab-2"
    other = path.with_name("rotated.json")
    third = api_key_file.add(other, "lab-3")
    other.replace(path)
    assert refused(check, second).status == 401
    assert authenticate(check, third) == "lab-3"


def test_a_damaged_file_denies_access(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """503 for every key, logged once; a repaired file grants access again."""
    check, key = check_of(path), api_key_file.add(path, "lab-1")
    whole = path.read_bytes()
    for damaged in (whole[:-5], b"", b"{}"):
        path.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            assert [refused(check, key).status for _ in range(3)] == [503] * 3
        assert ["access is denied" in line for line in caplog.messages] == [True]
        path.write_bytes(whole)
        assert authenticate(check, key) == "lab-1"


def test_an_unreadable_file_denies_access(path: Path) -> None:
    """A directory of that name, or a path below a file, is not a missing file."""
    path.mkdir()
    assert refused(check_of(path)).detail.code == "keys_unreadable"
    (path / "file").touch()
    assert refused(check_of(path / "file" / "keys")).status == 503
    path.joinpath("file").unlink()
    check = check_of(path)
    assert refused(check).status == 503
    path.rmdir()
    assert authenticate(check) == ""


def test_public_paths(path: Path) -> None:
    """Page and health; metrics and OpenAPI by setting; `/train` has a key of its own."""
    api_key_file.add(path, "lab-1")
    usual = Settings(api_keys_file=path)
    closed = Settings(api_keys_file=path, open_metrics=False, open_docs=False)
    for open_path in ("/", "/static/page.js", "/livez", "/readyz", "/train"):
        assert authenticate(ApiKeyCheck.of(closed), path=open_path) == ""
    for private in ("/model", "/schema.json", "/nothing", "/static", "/metrics/", "//metrics"):
        assert refused(ApiKeyCheck.of(usual), path=private).status == 401
    for published in ("/metrics", "/docs.json"):
        assert authenticate(ApiKeyCheck.of(usual), path=published) == ""
        assert refused(ApiKeyCheck.of(closed), path=published).status == 401


def test_the_default_key_file_is_in_the_home(tmp_path: Path) -> None:
    """Without a setting the service reads the file that `leukoflow keys` writes."""
    assert Settings(leukoflow_home=tmp_path).keys_file == tmp_path / "api-keys.json"
