"""The one rule for cloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keenkite.cloud import cloud_fraction, percent
from keenkite.errors import InputError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, 0), (0.2, 0.2), (1, 1), (1.0, 1), (20, 0.2), (100, 1), (1.5, 0.015),
        ("20", 0.2), ("0.2", 0.2), ("20%", 0.2), ("20 %", 0.2), ("1%", 0.01), ("1", 1),
        ("0.5%", 0.005), (" 100% ", 1), ("0", 0), ("2e1", 0.2),
    ],
)  # fmt: skip
def test_up_to_1_it_is_a_fraction_and_above_it_per_cent(written: float | str, meant: float) -> None:
    assert cloud_fraction(written) == pytest.approx(meant)


@pytest.mark.parametrize(
    "written",
    [-1, 101, "101%", "-5%", "", "%", "much", "20 per cent", float("nan"), True, None, "1-2"],
)
def test_what_is_no_amount_of_cloud_is_refused_with_the_ways_to_write_it(written: object) -> None:
    with pytest.raises(InputError, match=r"scenes is .*fraction from 0 to 1 \(0.2\), or per cent"):
        cloud_fraction(written, "scenes")  # type: ignore[arg-type]


@given(st.floats(0, 1))
def test_a_fraction_stays_what_it_is(fraction: float) -> None:
    assert cloud_fraction(cloud_fraction(fraction)) == fraction


@pytest.mark.parametrize(("fraction", "said"), [(0.2, "20 %"), (0.015, "1.5 %"), (1, "100 %")])
def test_it_is_said_back_in_per_cent_with_the_sign(fraction: float, said: str) -> None:
    assert percent(fraction) == said
    assert cloud_fraction(said) == pytest.approx(fraction)
