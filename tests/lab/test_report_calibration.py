import numpy as np
import pytest

from psd_lab.report.figures import calibration_figure, write
from psd_lib.errors import UserError

CONFIDENCE = [0.05, 0.15, 0.15, 0.95, 0.95, 1.0]
CORRECT = [0, 1, 0, 1, True, 0]


def test_points_are_mean_confidence_and_share_per_bin():
    left, right = calibration_figure(CONFIDENCE, CORRECT, "mini").axes
    line = left.containers[0].lines[0]
    assert np.allclose(line.get_xdata(), [0.05, 0.15, 0.9666667]) and np.allclose(
        line.get_ydata(), [0, 0.5, 2 / 3]
    )
    assert [int(bar.get_height()) for bar in right.patches] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]


def test_title_tells_cases_and_error():
    # |0.05 - 0| * 1 + |0.15 - 0.5| * 2 + |0.9667 - 0.6667| * 3 = 1.65, over 6 cases
    assert (
        calibration_figure(CONFIDENCE, CORRECT, "mini").get_suptitle()
        == "mini (6 cases, expected calibration error 0.275)"
    )


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_saved_files_are_byte_stable(kind, tmp_path):
    for name in "ab":
        write(calibration_figure(CONFIDENCE, CORRECT, "mini"), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_unknown_file_types_are_refused(tmp_path):
    with pytest.raises(UserError, match="pdf, svg, png"):
        write(calibration_figure([0.5], [1], "mini"), tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("confidence", "correct", "words"),
    [
        ([], [], "one confidence and one verdict"),
        ([0.5, 0.5], [1], "one confidence and one verdict"),
        ([1.5], [1], "from 0 to 1"),
        ([float("nan")], [1], "from 0 to 1"),
        ([0.5], [0.5], "right .1. or wrong .0."),
    ],
)
def test_impossible_input_is_refused(confidence, correct, words):
    with pytest.raises(UserError, match=words):
        calibration_figure(confidence, correct, "mini")
