"""How far a final fit may be from its own training rows: at each limit, and just beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fr_ensemble_assets.members.build import fit_problems

#: Half of the rows at 20 VMAF, half at 80, so that an error per row shows in one figure alone.
TARGET = np.tile([20.0, 80.0], 200)
#: Off by +1 and -1 in turn over both halves: no bias, an RMSE of 1.
WIDE = np.tile([1.0, 1.0, -1.0, -1.0], 100)
HAIR = 1e-6


def told(error: npt.NDArray[np.float64] | float, unseen_rmse: float) -> str:
    return " ".join(fit_problems(TARGET + error, TARGET, unseen_rmse))


@pytest.mark.parametrize("sign", [1, -1])
def test_bias_may_be_three_times_the_rmse_on_unseen_sources(sign: int) -> None:
    assert told(sign * (3 - HAIR), unseen_rmse=1.0) == ""
    assert "be off by at most 3.000 VMAF" in told(sign * (3 + HAIR), unseen_rmse=1.0)


def test_rmse_may_be_four_times_that_on_unseen_sources() -> None:
    assert told((4 - HAIR) * WIDE, unseen_rmse=1.0) == ""
    assert "an RMSE of at most 4.000 VMAF" in told((4 + HAIR) * WIDE, unseen_rmse=1.0)


def test_one_vmaf_is_tolerated_however_well_the_folds_went() -> None:
    assert told(1 - HAIR, unseen_rmse=0.01) == ""
    assert "be off by at most 1.000 VMAF" in told(1 + HAIR, unseen_rmse=0.01)
    assert told((1 - HAIR) * WIDE, unseen_rmse=0.01) == ""
    assert "an RMSE of at most 1.000 VMAF" in told((1 + HAIR) * WIDE, unseen_rmse=0.01)


def test_plcc_on_its_own_rows_may_be_what_the_gate_asks_and_no_less() -> None:
    """Errors across the target: with c of them the correlation is 30 / sqrt(30² + c²)."""

    def reaching(plcc: float) -> npt.NDArray[np.float64]:
        return 30 * (plcc**-2 - 1) ** 0.5 * WIDE

    assert fit_problems(TARGET + reaching(0.950001), TARGET, 100.0) == []
    (problem,) = fit_problems(TARGET + reaching(0.949999), TARGET, 100.0)
    assert problem.startswith("reach PLCC 0.95 on its own training rows, found 0.94999")
