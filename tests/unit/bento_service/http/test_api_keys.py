"""The door: which paths ask for a key, and whose keys open it."""

import logging
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from bento_service.http.api_keys import Door, Keys
from bento_service.http.errors import Refusal
from pipeline.adapters import api_keys
from pipeline.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the keys are listed; nothing is there yet."""
    return tmp_path / "api-keys.json"


def door_of(path: Path, *, required: bool = False) -> Door:
    return Door(Keys(path, required=required))


def admit(door: Door, key: str = "", path: str = "/classify") -> str:
    return door.admit(path, Headers({"x-api-key": key} if key else {}))


def refused(door: Door, key: str = "", path: str = "/classify") -> Refusal:
    with pytest.raises(Refusal) as no:
        admit(door, key, path)
    return no.value


def test_without_a_list_everybody_may_pass(path: Path) -> None:
    """And nobody once the last key is revoked: who takes a key away lets nobody else in."""
    door = door_of(path)
    assert admit(door, "whatever") == ""
    key = api_keys.add(path, "lab-1")
    api_keys.revoke(path, "lab-1")
    assert refused(door, key).status == 401
    assert refused(door).status == 401


def test_a_list_that_is_named_must_be_there(path: Path) -> None:
    """A folder that was not mounted opens nothing."""
    door = Door.of(Settings(api_keys_file=path))
    assert refused(door).detail.code == "keys_unreadable"
    assert admit(door, api_keys.add(path, "lab-1")) == "lab-1"


def test_each_key_opens_and_says_whose_it_is(path: Path) -> None:
    """In either header; a wrong one, none, or a name in place of a key does not."""
    door, ours = door_of(path), {name: api_keys.add(path, name) for name in ("lab-1", "lab-2")}
    for name, key in ours.items():
        assert admit(door, key) == name
        assert door.admit("/model", Headers({"authorization": f"bearer {key}"})) == name
    kept = api_keys.read(path)[0].sha256
    for wrong in ("", "lab-1", kept, ours["lab-1"][:-1], ours["lab-1"] + "x", "\u00ff"):
        no = refused(door, wrong)
        assert (no.status, no.headers) == (401, {"WWW-Authenticate": "Bearer"})
        assert "lab" not in str(no.detail)


def test_a_change_of_the_file_is_followed(path: Path) -> None:
    """A new key opens, a revoked one closes, a rotated file replaces all: without a restart."""
    door, first = door_of(path), api_keys.add(path, "lab-1")
    assert admit(door, first) == "lab-1"
    second = api_keys.add(path, "lab-2")
    assert admit(door, second) == "lab-2"
    api_keys.revoke(path, "lab-1")
    assert refused(door, first).status == 401
    assert admit(door, second) == "lab-2"
    other = path.with_name("rotated.json")
    third = api_keys.add(other, "lab-3")
    other.replace(path)
    assert refused(door, second).status == 401
    assert admit(door, third) == "lab-3"


def test_a_damaged_file_closes_the_door(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """503 for every key, said once in the log; what comes back whole opens again."""
    door, key = door_of(path), api_keys.add(path, "lab-1")
    whole = path.read_bytes()
    for damaged in (whole[:-5], b"", b"{}"):
        path.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            assert [refused(door, key).status for _ in range(3)] == [503] * 3
        assert ["nobody is let in" in line for line in caplog.messages] == [True]
        path.write_bytes(whole)
        assert admit(door, key) == "lab-1"


def test_a_list_that_cannot_be_opened_closes_the_door(path: Path) -> None:
    """Something else of that name, or below a file, is no absent file."""
    path.mkdir()
    assert refused(door_of(path)).detail.code == "keys_unreadable"
    (path / "file").touch()
    assert refused(door_of(path / "file" / "keys")).status == 503
    path.joinpath("file").unlink()
    door = door_of(path)
    assert refused(door).status == 503
    path.rmdir()
    assert admit(door) == ""


def test_health_and_the_page_are_open_and_the_rest_as_the_settings_say(path: Path) -> None:
    """`/train` has a key of its own; metrics and documentation are open unless closed."""
    api_keys.add(path, "lab-1")
    usual = Settings(api_keys_file=path)
    closed = Settings(api_keys_file=path, open_metrics=False, open_docs=False)
    for open_path in ("/", "/static/page.js", "/livez", "/readyz", "/train"):
        assert admit(Door.of(closed), path=open_path) == ""
    for asked in ("/model", "/schema.json", "/nothing", "/static", "/metrics/", "//metrics"):
        assert refused(Door.of(usual), path=asked).status == 401
    for published in ("/metrics", "/docs.json"):
        assert admit(Door.of(usual), path=published) == ""
        assert refused(Door.of(closed), path=published).status == 401


def test_the_list_is_in_the_home_unless_it_is_named(tmp_path: Path) -> None:
    """A service without settings finds what `leukoflow keys` wrote."""
    assert Settings(leukoflow_home=tmp_path).keys_file == tmp_path / "api-keys.json"
