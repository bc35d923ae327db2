"""Which modules are mutated, and which tests are to notice: the fast ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "fr_ensemble_assets"


@dataclass(frozen=True)
class Target:
    """A module and its tests.

    Attributes
    ----------
    path
        The module, from the package on.
    tests
        Names of test files, wherever they lie; ``file.py::test`` for one of them.
    constants_only
        Whether only the module's own constants are changed.
    """

    path: str
    tests: tuple[str, ...]
    constants_only: bool = False

    @property
    def module(self) -> str:
        return f"{PACKAGE}/{self.path}"

    @property
    def arguments(self) -> list[str]:
        """The tests as pytest takes them."""
        return [_found(test) for test in self.tests]


def _found(test: str) -> str:
    name, _, rest = test.partition("::")
    path = next(Path("fr_ensemble_tests").rglob(name), None)
    assert path is not None, f"targets.py names {name}, which is nowhere under fr_ensemble_tests"
    return f"{path}::{rest}" if rest else str(path)


_JUDGED = ("test_rule_limits.py", "test_gate.py")
_RESULTS = ("test_results_limits.py",)
_CANDIDATE = ("test_candidate_limits.py", "test_candidate.py", "test_candidate_altered.py")
_CODECS = ("test_codec_gate.py",)
_ASSURANCE = ("test_assurance.py",)

TARGETS = (
    Target("gate/rule.py", _JUDGED),
    Target("gate/verdict.py", ("test_verdict.py",)),
    Target("gate/previous.py", ("test_previous.py",)),
    Target("gate/advice.py", ("test_advice.py", "test_verdict.py")),
    Target("gate/schema.py", ("test_verdict.py", "test_previous.py")),
    Target("gate/checks.py", ("test_checks.py",)),
    Target("contract/thresholds.py", (*_JUDGED, "test_fit_limits.py")),
    Target("contract/folds.py", ("test_fold_plans.py",)),
    Target("contract/agreed.py", (*_JUDGED, *_RESULTS)),
    Target("evidence/metrics.py", ("test_metrics.py",)),
    Target("evidence/measure.py", ("test_metrics.py", *_RESULTS)),
    Target("evidence/results.py", (*_RESULTS, "test_gate.py")),
    Target("evidence/audit.py", _RESULTS),
    Target("evidence/schema.py", (*_RESULTS, "test_gate.py")),
    Target("evidence/plans.py", ("test_grouped.py", *_JUDGED)),
    Target("predictors/gate.py", _CODECS),
    Target("predictors/evaluation.py", _CODECS),
    Target("predictors/scope.py", _CODECS),
    Target("predictors/told.py", ("test_predictor_files.py",)),
    Target("assurance/certainty.py", _ASSURANCE),
    Target("assurance/controls.py", _ASSURANCE),
    Target("assurance/diagnosis.py", _ASSURANCE),
    Target("assurance/baselines.py", _ASSURANCE),
    Target("assurance/breakdown.py", _ASSURANCE),
    Target("assurance/assess.py", _ASSURANCE),
    Target("calibration/rules.py", ("test_interval_rules.py",)),
    Target("candidate/contents.py", ("test_candidate_limits.py", "test_candidate.py")),
    Target("candidate/places.py", ("test_candidate_limits.py", "test_candidate_places.py")),
    Target("candidate/documents.py", _CANDIDATE),
    Target("candidate/verify.py", _CANDIDATE),
    Target("corpus/summary.py", ("test_constants.py",), constants_only=True),
    Target("prediction/recommend.py", ("test_constants.py",), constants_only=True),
    Target("doors/workers.py", ("test_constants.py",), constants_only=True),
)


def chosen(names: list[str]) -> list[Target]:
    """The targets whose path starts with one of ``names``; all without any."""
    wanted = tuple(name.removeprefix(f"{PACKAGE}/") for name in names) or ("",)
    return [target for target in TARGETS if target.path.startswith(wanted)]
