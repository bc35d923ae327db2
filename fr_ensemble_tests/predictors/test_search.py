"""The search: few encodes, an answer that was scored, and nothing claimed beyond it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.predictors.cells import BUNDLED_CELLS, read_cells
from fr_ensemble_assets.predictors.ladders import ladders_of
from fr_ensemble_assets.predictors.model import Probe, ScoredProbe
from fr_ensemble_assets.predictors.rivals import four_probes, interpolating_bisection
from fr_ensemble_assets.predictors.search import Answer, Encode, Options, next_step

EVERYTHING = ladders_of(read_cells(BUNDLED_CELLS).cells, "libx264")
UNSEEN = ("city", "textpage", "bbb", "seeking")
PREDICTOR = ScoredProbe(EVERYTHING.only(set(EVERYTHING.sources) - set(UNSEEN)))
QUALITY = EVERYTHING.quality


def encoder_of(source: str, add: float = 0.0) -> Callable[[float], Probe]:
    """Encodes that were made before, looked up; ``add`` shifts their scores."""
    place = EVERYTHING.sources.index(source)

    def encode(quality: float) -> Probe:
        at = EVERYTHING.index_of(quality)
        vmaf = float(np.clip(EVERYTHING.vmaf[place, at] + add, 0, 100))
        return Probe(quality, vmaf, EVERYTHING.features[place, at])

    return encode


def search(
    encode: Callable[[float], Probe], target: float, options: Options
) -> tuple[list[Probe], Answer]:
    made: list[Probe] = []
    while isinstance(step := next_step(PREDICTOR, target, made, options), Encode):
        assert step.quality not in {probe.quality for probe in made}
        made.append(encode(step.quality))
    return made, step


def truth(source: str, target: float) -> float:
    """The largest quality that keeps the target."""
    vmaf = EVERYTHING.vmaf[EVERYTHING.sources.index(source)]
    return float(QUALITY[np.flatnonzero(vmaf >= target)[-1]])


@pytest.mark.parametrize("source", UNSEEN)
@pytest.mark.parametrize("target", [80.0, 88.0, 92.0, 95.0])
def test_exact_search_ends_at_the_last_quality_that_keeps_the_target(
    source: str, target: float
) -> None:
    made, answer = search(encoder_of(source), target, Options(exact=True, max_encodes=40))
    assert answer.why == "exact"
    assert answer.probe in made
    assert answer.probe is not None
    assert answer.probe.quality == truth(source, target)
    assert answer.probe.quality + 1 in {probe.quality for probe in made}


@pytest.mark.parametrize("source", UNSEEN)
@pytest.mark.parametrize("target", [80.0, 88.0, 92.0, 95.0])
def test_answer_keeps_the_target_and_was_scored(source: str, target: float) -> None:
    made, answer = search(encoder_of(source), target, Options())
    assert answer.probe in made
    assert answer.probe is not None
    assert answer.probe.vmaf >= target
    assert answer.why in ("saving", "exact", "encodes")
    assert answer.saving_left < 0.08 or answer.why == "encodes"
    assert len(made) <= 4


def test_first_probe_is_where_the_mean_curve_meets_the_target() -> None:
    mean = PREDICTOR.belief().vmaf
    step = next_step(PREDICTOR, 92.0, [], Options())
    assert isinstance(step, Encode)
    at = EVERYTHING.index_of(step.quality)
    assert mean[at] >= 92 > mean[at + 1]


def test_target_out_of_reach_is_said_after_the_finest_quality_missed_it() -> None:
    made, answer = search(encoder_of("city", add=-30), 92.0, Options(max_encodes=40))
    assert (answer.probe, answer.why) == (None, "out-of-reach")
    assert made[-1].quality == QUALITY[0]


def test_target_that_everything_keeps_ends_at_the_coarsest_quality() -> None:
    made, answer = search(lambda q: Probe(q, 99.0, EVERYTHING.features[0, 0]), 60.0, Options())
    assert answer.why == "coarsest"
    assert answer.probe is not None
    assert answer.probe.quality == QUALITY[-1] == made[-1].quality


def test_no_more_encodes_than_allowed() -> None:
    encode = encoder_of("city", add=-3)
    for allowed in (1, 2, 3):
        made, answer = search(encode, 92.0, Options(exact=True, max_encodes=allowed))
        assert len(made) == allowed
        assert (answer.probe is None) == (answer.why == "not-found")
    first, _ = search(encode, 92.0, Options(max_encodes=1))
    last, _ = search(encode, 92.0, Options(max_encodes=2))
    even = next_step(PREDICTOR, 92.0, first, Options(max_encodes=9))
    assert isinstance(even, Encode)
    assert last[1].quality < even.quality  # the last one allowed is on the safe side


def test_less_to_save_means_fewer_encodes() -> None:
    counts = [
        sum(len(search(encoder_of(s), t, Options(saving, max_encodes=40))[0]) for s in UNSEEN)
        for saving in (0.0, 0.08, 0.5)
        for t in (88.0,)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2]


def test_curve_that_rises_somewhere_is_searched_to_an_end() -> None:
    """SVT-AV1's curves do; what was measured decides, and nothing is measured twice."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = dict(zip(QUALITY.tolist(), rng.uniform(0, 100, len(QUALITY)), strict=True))
        features = EVERYTHING.features[0, 0]
        made, answer = search(
            lambda q, s=scores, f=features: Probe(q, s[q], f),  # type: ignore[misc]
            90.0,
            Options(exact=True, max_encodes=40),
        )
        assert answer.why in ("exact", "coarsest", "out-of-reach")
        assert answer.probe is None or answer.probe in made


@pytest.mark.parametrize("target", [0.0, 100.5, float("nan")])
def test_target_that_is_no_vmaf_is_refused(target: float) -> None:
    with pytest.raises(UnusableInput, match="expected a VMAF above 0 and up to 100"):
        next_step(PREDICTOR, target, [], Options())


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnusableInput, match="--worthwhile-saving"):
        Options(worthwhile_saving=1.0)
    with pytest.raises(UnusableInput, match="--max-encodes"):
        Options(max_encodes=0)


# --- what people use today -------------------------------------------------------------------


def straight(quality: int) -> float:
    return 100.0 - quality


def test_bisection_meets_its_tolerance_or_goes_to_neighbours() -> None:
    trail = interpolating_bisection(straight, 70.05, 10, 55)
    # The middle, half-way to the end, straight to the target, and its neighbour.
    assert list(trail.made) == [32, 21, 30, 29]
    assert trail.answer == 29
    assert list(interpolating_bisection(straight, 69.75, 10, 55).made) == [32, 21, 30]
    exact = interpolating_bisection(straight, 69.5, 10, 55, tolerance=None)
    assert exact.answer == 30
    assert 31 in exact.made
    assert interpolating_bisection(straight, 20.0, 10, 55).answer == 55
    assert interpolating_bisection(straight, 95.0, 10, 55).answer is None


def test_four_probes_answer_what_they_interpolate() -> None:
    trail = four_probes(straight, 69.5, 10, 55)
    assert trail.answer == 30
    assert list(trail.made)[:2] == [32, 10]
    assert len(trail.made) <= 5
    assert four_probes(straight, 20.0, 10, 55).answer == 55
    assert four_probes(straight, 95.0, 10, 55).answer == 10
