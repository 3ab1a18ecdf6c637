"""Who may be served, and the way back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, ServedManifest, VerdictManifest, canonical_json
from pipeline.errors import ArtifactError, ConflictError, GateRefusedError, InvalidInputError
from pipeline.run import RunContext
from pipeline.steps.promote import promote, rollback
from pipeline.steps.verdict import Check, Verdict

if TYPE_CHECKING:
    from tests.conftest import Stage

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
RUN = RunContext.now("test", "test")


@pytest.fixture
def models(stage: "Stage", tmp_path: Path) -> list[Artifact[ServedManifest]]:
    """Three published models."""
    return [stage.publish(tmp_path / f"bundle{seed}", seed) for seed in range(3)]


def judge(
    stage: "Stage",
    folder: Path,
    served: Artifact[ServedManifest],
    champion: Pointer | None,
    *,
    passed: bool = True,
) -> Artifact[VerdictManifest]:
    check = Check(name="parity", value=1, threshold=1, passed=passed, sentence="They agree.")
    verdict = Verdict(
        name=stage.contract.name,
        tag=served.manifest.tag,
        champion=champion,
        passed=passed,
        checks=(check,),
    )
    folder.mkdir(exist_ok=True)
    (folder / "verdict.json").write_text(canonical_json(verdict.model_dump(mode="json")))
    manifest = VerdictManifest(
        name=verdict.name,
        tag=verdict.tag,
        passed=passed,
        inputs={"served": served.uri, "evaluation": "evaluation"},
        **RUN.model_dump(),
    )
    return stage.artifacts.publish(folder, manifest)


def serve(stage: "Stage", verdict: Artifact[VerdictManifest]) -> Pointer:
    return promote(
        verdict,
        stage.registry,
        store=stage.artifacts,
        author="somebody",
        reason="it is better",
        when=WHEN,
    )


def back(stage: "Stage", tag: str = "") -> Pointer:
    return rollback(stage.registry, tag, author="somebody", reason="it was better", when=WHEN)


def test_a_passed_verdict_is_served(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """The pointer says what serves, on whose word and why."""
    verdict = judge(stage, tmp_path / "verdict", models[0], None)
    moved = serve(stage, verdict)
    assert stage.registry.read() == moved
    assert (moved.tag, moved.served) == (models[0].manifest.tag, models[0].uri)
    assert (moved.verdict, moved.evaluation) == (verdict.uri, "evaluation")
    assert (moved.author, moved.reason, moved.time) == ("somebody", "it is better", WHEN)


def test_a_refused_verdict_is_not_served(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """The error names the check, and the command line turns it into exit code 1."""
    verdict = judge(stage, tmp_path / "verdict", models[0], None, passed=False)
    with pytest.raises(GateRefusedError, match=r"refused.*received parity") as refused:
        serve(stage, verdict)
    assert refused.value.exit_code == 1
    assert stage.registry.read() is None


def test_a_forged_verdict_is_not_served(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """Nobody turns a refusal into a pass by editing its file."""
    verdict = judge(stage, tmp_path / "verdict", models[0], None, passed=False)
    path = Path(verdict.uri) / "verdict.json"
    path.write_text(path.read_text().replace("false", "true"))
    with pytest.raises(ArtifactError, match=r"verdict.json does not match"):
        serve(stage, verdict)


def test_a_verdict_against_another_champion_is_stale(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """Of two that were judged against the same champion, the slower one is judged again."""
    verdicts = [judge(stage, tmp_path / str(n), models[n], None) for n in range(2)]
    first = serve(stage, verdicts[0])
    with pytest.raises(ConflictError, match="judge it again; expected no champion") as stale:
        serve(stage, verdicts[1])
    assert stale.value.received == first.tag
    assert stage.registry.read() == first


def test_a_champion_that_left_and_came_back_makes_a_verdict_stale(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """The same tag at another move is another situation."""
    first = stage.point_to(models[0])
    verdict = judge(stage, tmp_path / "verdict", models[1], first)
    stage.point_to(models[2])
    stage.point_to(models[0])
    with pytest.raises(ConflictError, match="judge it again"):
        serve(stage, verdict)


def test_what_already_serves_is_left_alone(
    stage: "Stage", models: list[Artifact[ServedManifest]], tmp_path: Path
) -> None:
    """A retried task moves nothing and gets the same answer."""
    verdict = judge(stage, tmp_path / "verdict", models[0], None)
    first = serve(stage, verdict)
    assert serve(stage, verdict) == first
    assert len(stage.registry.history()) == 1


def test_rollback_returns_to_the_model_before(
    stage: "Stage", models: list[Artifact[ServedManifest]]
) -> None:
    """One move further, with its own author, reason and time."""
    for model in models:
        stage.point_to(model)
    moved = back(stage)
    assert (moved.tag, moved.served, moved.sequence) == (models[1].manifest.tag, models[1].uri, 4)
    assert (moved.author, moved.reason, moved.time) == ("somebody", "it was better", WHEN)
    assert stage.registry.read() == moved


def test_rollback_to_a_tag(stage: "Stage", models: list[Artifact[ServedManifest]]) -> None:
    """Any model that ever served can serve again."""
    for model in models:
        stage.point_to(model)
    assert back(stage, models[0].manifest.tag).served == models[0].uri


def test_rollback_to_nowhere_is_refused(
    stage: "Stage", models: list[Artifact[ServedManifest]]
) -> None:
    """Without history, with one model only, or to a tag that never served; the known are named."""
    with pytest.raises(InvalidInputError, match="expected a promoted model"):
        back(stage)
    stage.point_to(models[0])
    with pytest.raises(InvalidInputError, match="received the previous model"):
        back(stage)
    with pytest.raises(InvalidInputError, match=f"expected {models[0].manifest.tag}.*received x:1"):
        back(stage, "x:1")


def test_rolling_back_twice_goes_further_back(tmp_path: Path) -> None:
    """After A, B, C and back to B, the model before that is A, not the C just taken away."""
    registry = Registry(LocalStore(), str(tmp_path), "demo")
    when = datetime(2026, 1, 1, tzinfo=UTC)
    for tag in ("demo:a", "demo:b", "demo:c"):
        pointer = Pointer(
            sequence=0,
            name="demo",
            tag=tag,
            served=tag,
            evaluation="",
            verdict=tag,
            author="test",
            reason="a test",
            time=when,
        )
        registry.move(pointer, registry.read())
    tags = [rollback(registry, "", author="test", reason="worse", when=when).tag for _ in range(2)]
    assert tags == ["demo:b", "demo:a"]
    with pytest.raises(InvalidInputError, match="no model to roll back to"):
        rollback(registry, "", author="test", reason="worse", when=when)
