"""The registry: versions, attempts, promotion, rollback, repair; nothing can be forced."""

import inspect
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import (
    ArtifactError,
    GateRefusedError,
    MissingError,
    RegistryError,
    UsageError,
)
from tradingai.engine.core.ledger import Candidate, read_ledger
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.evaluation.assess import Subject, assess
from tradingai.engine.gates import Thresholds
from tradingai.engine.registry.registry import Registry
from tradingai.engine.registry.verify import verify

from tests.fakes.evaluations import CLEAN, assessed, calibrated, judged, wave_close

MODEL = "lstm_BTC-USD"
MONDAY = datetime(2025, 11, 10, 5, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def assessments():
    """A model that passes, one that does not, and the passing one under looser thresholds."""
    close, _ = wave_close(days=16)
    labels = direction_labels(close)
    subject = Subject(
        MODEL, "BTC-USD", "cycles", True, {"data_sha256": "d" * 64, "features_sha256": "f" * 64}
    )

    def made(confidence, thresholds):
        bars = judged(calibrated(confidence, labels), close)
        return assess(subject, bars, thresholds, CLEAN)

    return {
        "good": made(0.85, Thresholds()),
        "bad": made(0.6, Thresholds()),
        "loose": made(0.85, Thresholds(min_accuracy=0.5)),
        "tight": made(0.85, Thresholds(min_accuracy=0.95)),
    }


class Bench:
    """A home with a registry whose clock moves a minute with every evaluation."""

    def __init__(self, root, assessments):
        self.paths = HomePaths(root)
        self.clock = SimulatedClock(MONDAY)
        self.registry = Registry(self.paths, self.clock, who="operator, test")
        self.assessments = assessments

    def candidate(self, artifact, key="", test="t" * 64):
        folder = self.paths.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{artifact}.pt").write_bytes(artifact.encode() * 100)
        (folder / f"{artifact}.json").write_text(json.dumps({"artifact": artifact}))
        return Candidate(
            MODEL, {"BTC-USD": test}, artifact * 8, folder / f"{artifact}.pt", folder / f"{artifact}.json",
            key or f"key of {artifact}",
        )  # fmt: skip

    def evaluate(self, artifact, what="good", **more):
        self.clock.advance(60)
        return self.registry.record(self.candidate(artifact, **more), assessed(self.assessments[what]))

    def promote(self, version=None, why=""):
        self.clock.advance(60)
        return self.registry.promote(MODEL, version, why=why)

    def rollback(self, to=None):
        self.clock.advance(60)
        return self.registry.rollback(MODEL, to)

    @property
    def link(self):
        return self.paths.promoted / MODEL

    def live(self):
        return self.link.resolve().name

    def kinds(self):
        return [entry.kind for entry in self.registry.history()]


@pytest.fixture
def bench(tmp_path, assessments):
    return Bench(tmp_path / "home", assessments)


def test_an_evaluation_becomes_a_version_with_its_own_copy(bench):
    report = bench.evaluate("aaaaaaaa")
    assert (report.version, report.attempt, report.passed) == ("v1.0.0", 1, True)
    folder = bench.paths.versions / MODEL / "v1.0.0"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"certificate.{report.sha256[:8]}.json", "model.json", "model.pt",
    ]  # fmt: skip
    assert (folder / "model.pt").read_bytes() == b"aaaaaaaa" * 100
    assert bench.registry.certificate(MODEL) == report
    (row,) = bench.registry.list_models()
    assert (row.model, row.version, row.promoted, row.passed, row.accuracy) == (
        MODEL, "v1.0.0", False, True, report.accuracy,
    )  # fmt: skip
    assert set(row.as_json()) >= {
        "model",
        "version",
        "promoted",
        "created_at",
        "passed",
        "accuracy",
        "sha256",
    }


def test_attempts_count_artifacts_on_the_same_test_data(bench):
    assert bench.evaluate("aaaaaaaa").attempt == 1
    assert bench.evaluate("bbbbbbbb").attempt == 2
    assert bench.evaluate("aaaaaaaa").attempt == 1
    assert bench.evaluate("cccccccc", test="u" * 64).attempt == 1
    third = bench.evaluate("dddddddd")
    assert (third.attempt, third.version) == (3, "v1.3.0")
    assert third.alpha == pytest.approx(0.05 * 6 / (9 * 9.8696044), rel=1e-6)


def test_an_exploratory_look_counts_as_an_attempt(bench):
    bench.evaluate("aaaaaaaa", "loose")
    assert bench.evaluate("bbbbbbbb").attempt == 2


def test_the_same_evaluation_again_changes_nothing(bench):
    first = bench.evaluate("aaaaaaaa")
    before = bench.paths.ledger.read_bytes()
    second = bench.evaluate("aaaaaaaa")
    assert second.sha256 == first.sha256
    assert bench.paths.ledger.read_bytes() == before
    assert bench.registry.recall(bench.candidate("aaaaaaaa")) == first
    assert bench.paths.ledger.read_bytes() == before
    assert bench.registry.recall(bench.candidate("bbbbbbbb")) is None


def test_promotion_and_rollback_are_one_step_each(bench):
    for artifact in ("aaaaaaaa", "bbbbbbbb", "cccccccc"):
        bench.evaluate(artifact)
        bench.promote(why=f"trained {artifact}")
    assert bench.live() == "v1.2.0"
    assert str(bench.link.readlink()) == f"../versions/{MODEL}/v1.2.0"
    entry = bench.rollback()
    assert (entry.kind, entry.version, entry.details["previous"]) == ("rolled_back", "v1.1.0", "v1.2.0")
    assert bench.live() == "v1.1.0"
    assert bench.rollback("v1.0.0").version == "v1.0.0"
    assert bench.rollback("v1.2.0").version == "v1.2.0"
    assert bench.rollback().version == "v1.1.0"
    assert bench.rollback().version == "v1.0.0"
    with pytest.raises(RegistryError, match="nothing to go back to"):
        bench.rollback()
    assert bench.live() == "v1.0.0"


def test_promoting_what_is_live_changes_nothing(bench):
    bench.evaluate("aaaaaaaa")
    first = bench.promote()
    assert bench.promote("v1.0.0") == first
    assert bench.kinds() == ["evaluated", "promoted"]


def test_what_was_live_at_a_time_has_an_answer(bench):
    bench.evaluate("aaaaaaaa")
    first = bench.promote()
    bench.evaluate("bbbbbbbb")
    second = bench.promote()
    assert bench.registry.live_at(first.at - timedelta(seconds=1)) == {}
    assert bench.registry.live_at(first.at)[MODEL].version == "v1.0.0"
    assert bench.registry.live_at(second.at - timedelta(seconds=1))[MODEL].version == "v1.0.0"
    assert bench.registry.live_at(second.at)[MODEL].version == "v1.1.0"


def test_a_failed_certificate_is_refused_naming_the_gates(bench):
    bench.evaluate("aaaaaaaa", "bad")
    with pytest.raises(GateRefusedError, match=r"v1\.0\.0 is refused by accuracy") as refused:
        bench.promote("v1.0.0")
    assert refused.value.exit_status == 3
    assert not bench.link.exists()
    assert bench.kinds() == ["evaluated"]


def test_an_exploratory_certificate_is_refused_although_it_passed(bench):
    assert bench.evaluate("aaaaaaaa", "loose").passed
    with pytest.raises(GateRefusedError, match="EXPLORATORY"):
        bench.promote()


def test_the_product_thresholds_after_a_look_make_it_promotable(bench):
    bench.evaluate("aaaaaaaa", "loose", key="loose")
    assert bench.evaluate("aaaaaaaa", "good", key="good").version == "v1.0.0"
    assert bench.promote().version == "v1.0.0"


def test_what_was_asked_for_last_decides(bench):
    bench.evaluate("aaaaaaaa", "good", key="good")
    bench.evaluate("aaaaaaaa", "tight", key="tight")
    with pytest.raises(GateRefusedError):
        bench.promote()
    recalled = bench.registry.recall(bench.candidate("aaaaaaaa", key="good"))
    assert recalled.passed
    assert bench.kinds() == ["evaluated"] * 3
    assert bench.promote().version == "v1.0.0"


def test_without_a_version_the_newest_that_passed_goes_live(bench):
    bench.evaluate("aaaaaaaa", "good")
    bench.evaluate("bbbbbbbb", "bad")
    assert bench.promote().version == "v1.0.0"


def test_there_is_no_force(bench):
    for method in (Registry.promote, Registry.rollback, Registry.record):
        assert not {"force", "override", "skip_gates"} & set(inspect.signature(method).parameters)


def test_unknown_versions_and_models(bench):
    bench.evaluate("aaaaaaaa")
    with pytest.raises(MissingError, match=r"v9\.9\.9 is not in the registry"):
        bench.promote("v9.9.9")
    with pytest.raises(MissingError, match="no version of lstm_BTC-USD is live"):
        bench.rollback()
    for name in ("../../etc", "", "a/b"):
        with pytest.raises(UsageError):
            bench.registry.promote(name)
    with pytest.raises(UsageError, match="is no version"):
        bench.promote("../v1.0.0")


def test_rolling_back_to_what_was_never_promoted_is_refused(bench):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.evaluate("bbbbbbbb")
    with pytest.raises(RegistryError, match=r"v1\.1\.0 was never promoted"):
        bench.rollback("v1.1.0")
    with pytest.raises(RegistryError, match="is live already"):
        bench.rollback("v1.0.0")


@pytest.mark.parametrize("name", ["model.pt", "model.json"])
def test_a_tampered_file_is_refused_by_hash_and_the_live_model_stays(bench, name):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.evaluate("bbbbbbbb")
    path = bench.paths.versions / MODEL / "v1.1.0" / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RegistryError, match=f"{name} has hash .* instead of") as refused:
        bench.promote("v1.1.0")
    assert "stays as it is" in refused.value.remedy
    assert bench.live() == "v1.0.0"


def test_a_certificate_with_a_friendlier_number_is_refused(bench):
    report = bench.evaluate("aaaaaaaa", "bad")
    path = bench.paths.versions / MODEL / "v1.0.0" / f"certificate.{report.sha256[:8]}.json"
    document = json.loads(path.read_text())
    for gate in document["gates"]:
        gate["passed"] = True
    document["passed"] = True
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="not the certificate"):
        bench.registry.certificate(MODEL)
    (found,) = verify(bench.paths)
    assert (found.state, found.ok) == ("damaged", False)


def test_verify_says_what_is_intact(bench):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.evaluate("bbbbbbbb", "bad")
    found = verify(bench.paths)
    assert [(item.version, item.state, item.live) for item in found] == [
        ("v1.0.0", "intact", True), ("v1.1.0", "intact", False),
    ]  # fmt: skip


def test_verify_recomputes_when_asked(bench):
    bench.evaluate("aaaaaaaa")
    asked = []

    def recompute(report, entry):
        asked.append((report.version, entry.seq))
        return ["accuracy is 0.5 instead of 0.85"]

    (found,) = verify(bench.paths, MODEL, recompute)
    assert asked == [("v1.0.0", 1)]
    assert (found.state, found.detail, found.recomputed) == (
        "damaged",
        "accuracy is 0.5 instead of 0.85",
        True,
    )


def test_a_version_missing_after_a_restore_is_absent_unless_it_was_live(bench):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.evaluate("bbbbbbbb")
    for version in ("v1.0.0", "v1.1.0"):
        for path in (bench.paths.versions / MODEL / version).iterdir():
            path.unlink()
        (bench.paths.versions / MODEL / version).rmdir()
    states = {item.version: item.state for item in verify(bench.paths)}
    assert states == {"v1.0.0": "damaged", "v1.1.0": "absent"}


def test_evaluating_again_repairs_a_damaged_copy(bench):
    bench.evaluate("aaaaaaaa")
    path = bench.paths.versions / MODEL / "v1.0.0" / "model.pt"
    path.write_bytes(b"damaged")
    assert bench.registry.recall(bench.candidate("aaaaaaaa")) is None
    bench.evaluate("aaaaaaaa")
    assert all(item.ok for item in verify(bench.paths))
    assert bench.kinds() == ["evaluated"]


def test_a_damaged_copy_is_never_made_good_by_other_bytes(bench):
    bench.evaluate("aaaaaaaa")
    path = bench.paths.versions / MODEL / "v1.0.0" / "model.pt"
    path.write_bytes(b"damaged")
    candidate = bench.candidate("aaaaaaaa")
    candidate.artifact.write_bytes(b"the same values saved otherwise")
    with pytest.raises(RegistryError, match="is damaged and"):
        bench.registry.record(candidate, assessed(bench.assessments["good"]))


def test_a_lost_certificate_is_written_again(bench):
    report = bench.evaluate("aaaaaaaa")
    (bench.paths.versions / MODEL / "v1.0.0" / f"certificate.{report.sha256[:8]}.json").unlink()
    assert bench.registry.recall(bench.candidate("aaaaaaaa")) is None
    bench.evaluate("aaaaaaaa")
    assert all(item.ok for item in verify(bench.paths))
    assert bench.kinds() == ["evaluated"]


def test_repair_makes_the_links_what_the_ledger_says(bench):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.evaluate("bbbbbbbb")
    bench.promote()
    bench.link.unlink()
    bench.link.symlink_to(f"../versions/{MODEL}/v1.0.0")
    (bench.paths.promoted / "stranger").symlink_to(f"../versions/{MODEL}/v1.0.0")
    (bench.paths.promoted / f".{MODEL}.99.tmp").symlink_to("nowhere")
    leftover = bench.paths.versions / MODEL / ".v1.2.0.99.tmp"
    leftover.mkdir()
    (leftover / "model.pt").write_bytes(b"half")
    assert len(verify(bench.paths)) == 4
    done = bench.registry.repair()
    assert len(done) == 4
    assert any(f"the link of {MODEL} named v1.0.0 and now names v1.1.0" in item for item in done)
    assert bench.live() == "v1.1.0"
    assert [path.name for path in bench.paths.promoted.iterdir()] == [MODEL]
    assert not leftover.exists()
    assert bench.registry.repair() == []


def test_a_folder_that_a_killed_process_left_is_replaced(bench):
    folder = bench.paths.versions / MODEL / "v1.0.0"
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"of a process that was killed before the ledger")
    bench.evaluate("aaaaaaaa")
    assert all(item.ok for item in verify(bench.paths))


def test_a_lost_ledger_is_not_started_over(bench):
    bench.evaluate("aaaaaaaa")
    bench.promote()
    bench.paths.ledger.unlink()
    for call in (bench.registry.repair, bench.promote, lambda: bench.evaluate("bbbbbbbb")):
        with pytest.raises(RegistryError, match="is missing, but lstm_BTC-USD was promoted"):
            call()
    assert (bench.paths.versions / MODEL / "v1.0.0" / "model.pt").exists()


def test_an_empty_home_reads_as_empty_and_is_not_created(bench):
    assert bench.registry.list_models() == ()
    assert bench.registry.history() == ()
    assert verify(bench.paths) == ()
    assert not bench.paths.root.exists()


def test_reading_takes_no_lock(bench):
    bench.evaluate("aaaaaaaa")
    with bench.registry._locked("test"):
        assert len(bench.registry.list_models()) == 1
        assert len(verify(bench.paths)) == 1


def test_who_why_and_when_are_kept(bench):
    bench.evaluate("aaaaaaaa")
    entry = bench.promote(why="retrained with seed 7")
    assert (entry.who, entry.why, entry.at) == (
        "operator, test",
        "retrained with seed 7",
        MONDAY + timedelta(minutes=2),
    )
    evaluated = bench.registry.history(MODEL)[0]
    assert evaluated.details["data_sha256"] == "d" * 64
    assert evaluated.details["features_sha256"] == "f" * 64
    assert evaluated.details["gates"] == dict.fromkeys(
        ("accuracy", "calibration", "leakage", "significance", "sample"), True
    )


def test_two_models_do_not_mix(bench):
    bench.evaluate("aaaaaaaa")
    other = replace(bench.candidate("bbbbbbbb"), model="lstm_ETH-USD", tests={"ETH-USD": "t" * 64})
    good = bench.assessments["good"]
    eth = replace(good, subject=replace(good.subject, model="lstm_ETH-USD", symbol="ETH-USD"))
    report = bench.registry.record(other, assessed(eth))
    assert (report.version, report.attempt) == ("v1.0.0", 1)
    bench.promote()
    assert set(read_ledger(bench.paths.ledger).live()) == {MODEL}
    assert [entry.model for entry in bench.registry.history("lstm_ETH-USD")] == ["lstm_ETH-USD"]


def several(bench, model, artifact, what, components=()):
    """Evaluate a model of two coins, the second of ``what`` quality."""
    bench.clock.advance(60)
    candidate = replace(
        bench.candidate(artifact), model=model, tests={"BTC-USD": "t" * 64, "ETH-USD": "u" * 64}
    )

    def build(attempts, version):
        coins = []
        for symbol, quality in (("BTC-USD", "good"), ("ETH-USD", what)):
            made = bench.assessments[quality]
            made = replace(made, subject=replace(made.subject, model=model, symbol=symbol))
            coins.append(made.report(attempts[symbol], version))
        return ModelReport(tuple(coins), components)

    return bench.registry.record(candidate, build)


def test_attempts_of_a_model_of_several_coins_are_counted_on_each_coins_test_data(bench):
    bench.evaluate("aaaaaaaa")
    report = several(bench, "transformer", "bbbbbbbb", "good")
    assert {coin.symbol: coin.attempt for coin in report.coins} == {"BTC-USD": 2, "ETH-USD": 1}
    assert bench.evaluate("cccccccc").attempt == 3
    assert several(bench, "transformer", "bbbbbbbb", "good").attempt == 2


def test_a_version_that_fails_on_one_coin_is_refused_and_the_coin_is_named(bench):
    several(bench, "transformer", "bbbbbbbb", "bad")
    with pytest.raises(GateRefusedError, match=r"transformer v1.0.0 is refused by ETH-USD accuracy"):
        bench.registry.promote("transformer")
    (row,) = bench.registry.list_models()
    assert (row.passed, row.gates["accuracy"]) == (False, False)
    assert [item.state for item in verify(bench.paths)] == ["intact"]


def test_an_ensemble_goes_live_only_when_all_it_is_made_of_is_live(bench):
    bench.evaluate("aaaaaaaa")
    made_of = ((MODEL, "v1.0.0", "aaaaaaaa" * 8),)
    several(bench, "ensemble", "bbbbbbbb", "good", made_of)
    with pytest.raises(GateRefusedError, match="no version is live") as refused:
        bench.registry.promote("ensemble")
    assert f"Promote {MODEL} v1.0.0" in refused.value.remedy
    bench.promote()
    assert bench.registry.promote("ensemble").version == "v1.0.0"
    bench.evaluate("cccccccc")
    bench.promote()
    several(bench, "ensemble", "dddddddd", "good", ((MODEL, "v1.1.0", "cccccccc" * 8),))
    bench.registry.promote("ensemble")
    with pytest.raises(GateRefusedError, match=r"made of lstm_BTC-USD v1.0.0, of which v1.1.0 is live"):
        bench.registry.rollback("ensemble")
    bench.rollback()
    assert bench.registry.rollback("ensemble").version == "v1.0.0"
