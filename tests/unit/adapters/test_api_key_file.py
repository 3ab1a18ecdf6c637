"""The file of API keys, and the command that writes it."""

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.adapters import api_key_file
from pipeline.cli.keys import keys
from pipeline.errors import ArtifactError, InvalidInputError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the key file in the settings; it does not exist yet."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("API_KEYS_FILE", raising=False)
    return tmp_path / "home" / "api-keys.json"


def test_a_key_is_stored_as_its_digest_for_the_owner_alone(path: Path) -> None:
    """The key itself is in no file; the mode is 600 whatever the umask."""
    key = api_key_file.add(path, "lab-1")
    assert len(key) == 43  # 32 bytes in base64
    (stored,) = api_key_file.read(path)
    assert (stored.name, stored.sha256) == ("lab-1", api_key_file.digest(key))
    assert not any(key in file.read_text() for file in path.parent.iterdir())
    assert path.stat().st_mode & 0o777 == 0o600


def test_names_are_restricted_and_unique(path: Path) -> None:
    """They identify keys in the access log."""
    api_key_file.add(path, "lab-1")
    for name in ("lab-1", "", "a b", "x" * 65, 'a"b', "a\n"):
        with pytest.raises(InvalidInputError):
            api_key_file.add(path, name)
    assert len(api_key_file.read(path)) == 1


def test_revoking_removes_one_key_and_an_unknown_name_is_an_error(path: Path) -> None:
    """The other keys stay."""
    api_key_file.add(path, "lab-1")
    api_key_file.add(path, "lab-2")
    assert api_key_file.revoke(path, "lab-1") == 1
    with pytest.raises(InvalidInputError, match="expected lab-2"):
        api_key_file.revoke(path, "lab-1")


def test_no_concurrent_change_is_lost(path: Path) -> None:
    """Eight concurrent additions give eight keys."""
    threads = [
        threading.Thread(target=api_key_file.add, args=(path, f"lab-{number}"))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api_key_file.read(path)) == 8


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '[{"name": "a"}]', '[{"name": "a", "sha256": "canary"}]']
)
def test_a_damaged_file_is_an_error_that_does_not_quote_it(path: Path, text: str) -> None:
    """It is not an empty list, and adding a key does not overwrite it."""
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ArtifactError, match="damaged") as refused:
        api_key_file.read(path)
    assert "canary" not in str(refused.value)
    with pytest.raises(ArtifactError):
        api_key_file.add(path, "lab-1")
    assert path.read_text() == text


def test_the_command_prints_a_key_once(path: Path) -> None:
    """`add` prints the key alone on stdout, `list` names, and `revoke` warns after the last."""
    run = CliRunner().invoke
    key = run(keys, ["add", "lab-1"]).stdout.strip()
    assert api_key_file.read(path)[0].sha256 == api_key_file.digest(key)
    listed = run(keys, ["list"]).stdout
    assert listed.startswith("lab-1\t")
    assert key not in listed
    entries = json.loads(run(keys, ["list", "--json"]).stdout)
    assert [set(entry) for entry in entries] == [{"name", "created"}]
    revoked = run(keys, ["revoke", "lab-1"])
    assert "every request is refused now" in revoked.stderr
    assert api_key_file.read(path) == ()
