"""Promotions of small models: published bundles, written verdicts, and the real pointer."""

import tempfile
from datetime import datetime
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.artifacts import Artifact, Parity, ServedManifest, VerdictManifest
from pipeline.contract.model_contract import ModelContract
from pipeline.digests import canonical_json
from pipeline.run_context import RunContext
from pipeline.steps.promotion.promote import (
    Authorization,
    PromotionResult,
    promote,
    promote_with_retry,
)
from pipeline.steps.promotion.rollback import rollback
from pipeline.steps.promotion.verdict import Check, GateVerdict, read_verdict

Model = Artifact[ServedManifest]
RUN = RunContext.now("test-run", "test")


class PromotionHarness:
    """A store, and the pointer of one model name in it."""

    def __init__(self, store: ArtifactStore, name: str = "cells") -> None:
        self.store = store
        self.name = name
        self.pointers = PointerStore(store.objects, store.root, name)

    def model(self, number: int) -> Artifact[ServedManifest]:
        """Publish a served bundle with a file of one line."""
        manifest = ServedManifest(
            name=self.name,
            tag=f"{self.name}:{number:012x}",
            contract=ModelContract(name=self.name, classes=("ROUND", "LOBED")),
            parity=Parity(
                precision="f32", images=1, top1_agreement=1.0, max_probability_difference=0.0
            ),
            **RUN.model_dump(),
        )
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "model.xml").write_text(f"model {number}")
            return self.store.publish(Path(folder), manifest)

    def judge(self, served: Artifact[ServedManifest], *, passed: bool = True) -> str:
        """Publish a verdict against the serving model; returns its URI."""
        check = Check(name="parity", value=1, threshold=1, passed=passed, sentence="They agree.")
        tag = served.manifest.tag
        verdict = GateVerdict(
            name=self.name,
            tag=tag,
            champion=self.pointers.read(),
            passed=passed,
            checks=(check,),
        )
        inputs = {"served": served.uri, "evaluation": "evaluation"}
        manifest = VerdictManifest(
            name=self.name, tag=tag, passed=passed, inputs=inputs, **RUN.model_dump()
        )
        with tempfile.TemporaryDirectory() as folder:
            body = canonical_json(verdict.model_dump(mode="json"))
            (Path(folder) / "verdict.json").write_text(body)
            return self.store.publish(Path(folder), manifest).uri

    def judge_again(self, verdict: str) -> str:
        """Publish a new verdict on the same model; returns its URI."""
        inputs = self.store.open(verdict, VerdictManifest).manifest.inputs
        return self.judge(self.store.open(inputs["served"], ServedManifest))

    def promote(self, verdict: str, *, approved: bool = False) -> Pointer:
        """Promote by a verdict; returns the pointer after it."""
        return self.attempt(verdict, approved_at=RUN.created_at if approved else None).pointer

    def attempt(
        self, verdict: str, *, approved_at: datetime | None = None, run: RunContext = RUN
    ) -> PromotionResult:
        """Promote by a verdict in a run; returns the outcome."""
        authorization = Authorization(
            author="somebody", reason="it is better", approved_at=approved_at
        )
        artifact = self.store.open(verdict, VerdictManifest)
        return promote(artifact, self.pointers, authorization, store=self.store, run=run)

    def promote_with_retry(self, verdict: str) -> Pointer:
        """Promote by a verdict, with a new one after each conflict."""
        return promote_with_retry(verdict, self.promote, self.judge_again)

    def serve(self, served: Artifact[ServedManifest]) -> Pointer:
        """Publish a passed verdict and promote by it."""
        return self.promote(self.judge(served))

    def back(self, tag: str = "") -> Pointer:
        """Roll back, by default to the model before."""
        authorization = Authorization(author="somebody", reason="it was better")
        return rollback(self.pointers, tag, authorization, store=self.store, run=RUN)

    def champion_of(self, move: Pointer) -> Pointer | None:
        """The champion in the verdict of a move."""
        artifact = self.store.open(move.verdict, VerdictManifest)
        return read_verdict(artifact, self.store).champion
