import matplotlib as mpl
import pandas as pd
import pytest
from support.report_rows import rows, two_models

from psd_lab.report import confidence, figures
from psd_lab.report import rows as rows_of
from psd_lab.report.figures import style
from psd_lab.report.results import Results
from psd_lab.report.selector import family

pytestmark = pytest.mark.thorough  # every figure is drawn
DRAFTED = {"accepted": [2, 0], "drafted": [3, 1], "committed": [3, 1], "block": [0, 0]}


@pytest.fixture(scope="module")
def frame():
    return rows_of.prepare(two_models())


@pytest.fixture(scope="module")
def decoded(tiny_model):
    from psd_lib import generate

    options = {"gen_length": 24, "record_scores": True}
    prompts = ["w3 w4 w5", "w7 w8"]
    return generate(tiny_model, prompts, decoder="greedy", **options), generate(
        tiny_model, prompts, decoder="psd", **options
    )


def drafted(results):
    return Results(results.frame.assign(step_stats=[DRAFTED] * len(results)))


def drawn(frame, decoded):
    scores = pd.concat(
        [confidence.score_frame(decoded[0].trace, name) for name in ("tiny", "other")],
        ignore_index=True,
    )
    settings = [frame.find(decoder="psd", depth=3)]
    return [
        figures.pareto(frame, "pareto", "T."),
        figures.ledger(frame, "ledger", "T."),
        figures.stages(frame, settings, "stages", "T."),
        figures.reliability(confidence.calibration(scores), "reliability", "T."),
        figures.precision(confidence.precision_at_k(scores, ks=(1, 2, 3)), "precision", "T."),
        figures.heatmap(scores, 0, "heatmap", "T."),
        figures.strips(
            {"tiny": [decoded[0][0], decoded[1][0]], "other": [decoded[0][1]]}, "strips", "T."
        ),
        figures.contrast(drafted(frame), "contrast", "T."),
    ]


def test_every_figure_draws_and_holds_its_points(frame, decoded):
    for plot in drawn(frame, decoded):
        assert (
            plot.png().startswith(b"\x89PNG") and len(plot.data) and plot.caption.startswith("T. ")
        )


def test_pooled_panels_hold_all_items_of_a_model(frame):
    plot = figures.pareto(
        Results(
            pd.concat(
                [
                    frame.frame,
                    frame.frame.assign(task="other", example_id="other/" + frame.frame.example_id),
                ]
            )
        ),
        "pareto",
        "T.",
        pooled=True,
    )
    assert set(plot.data.task) == {"all tasks"}
    assert plot.data.n.tolist() == [2 * n for n in figures.pareto(frame, "pareto", "T.").data.n]


@pytest.mark.parametrize(
    "name", ["pareto", "heatmap"]
)  # vectors and text; an embedded raster image
def test_files_are_byte_stable(frame, decoded, name, tmp_path, monkeypatch):
    written = []
    for run in ("first", "second"):
        monkeypatch.setattr("psd_lab.paths.RESULTS", tmp_path / run)
        scores = confidence.score_frame(decoded[0].trace)
        plot = (
            figures.pareto(frame, "x", "T.")
            if name == "pareto"
            else figures.heatmap(scores, 0, "x", "T.")
        )
        plot.save("smoke")
        written.append(
            {
                path.name: path.read_bytes()
                for path in (tmp_path / run / "smoke" / "figures").iterdir()
            }
        )
    assert sorted(written[0]) == ["x.csv", "x.pdf", "x.png", "x.svg", "x.txt"]
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []


def test_the_cited_tier_goes_to_figures(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.FIGURES", tmp_path)
    figures.pareto(frame, "pareto", "T.").save("published")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [
        ".csv",
        ".pdf",
        ".png",
        ".svg",
        ".txt",
    ]


def test_small_multiples_have_models_in_rows_and_tasks_in_columns():
    found = two_models()
    more = found[found.model == "tiny"].assign(
        task="mini-mbpp", config_hash="mbpp-" + found.config_hash
    )
    axes = figures.pareto(rows_of.prepare(pd.concat([found, more])), "pareto", "T.").figure.axes
    assert [ax.get_title() for ax in axes] == [
        "tiny, mini-gsm (n = 4)",
        "tiny, mini-mbpp (n = 4)",
        "other, mini-gsm (n = 4)",
        "other, mini-mbpp",
    ]
    assert [ax.get_visible() for ax in axes] == [True, True, True, False]


@pytest.mark.parametrize("families", [4, 44])
def test_a_long_legend_takes_no_height_from_the_axes(families):
    with mpl.rc_context(style.RC):
        figure, cells = style.grid(pd.DataFrame({"model": ["tiny"], "task": ["mini-gsm"]}))
        for number in range(families):
            cells[0][0].plot([0, 1], label=f"family {number}")
        style.named(figure, cells, "x", "y")
        figure.canvas.draw()
    assert 1.9 < cells[0][0].get_position().height * figure.get_figheight() < 2.2


def test_every_model_has_a_mark_in_the_ledger(frame):
    data = figures.ledger(frame, "ledger", "T.").data
    assert len(data) == 12 and list(data.model.unique()) == ["tiny", "other"]
    assert set(data.calls) == {1.0, 0.5, 0.25, 0.125, 0.375}


def test_the_frontier_holds_what_nothing_beats():
    data = figures.points(rows_of.prepare(rows())).set_index("decoder")
    # same accuracy: only the fastest of the exact ones stays; token_chain is faster and worse, so
    # it stays too
    assert list(data.index[data.frontier]) == [
        "psd(confidence 0.9, d=3)",
        "psd(confidence 0.9, d=3, token_chain)",
    ]


def test_no_two_families_share_colour_and_marker():
    from psd_lab.report.figures.style import LOOKS

    assert len(set(LOOKS.values())) == len(LOOKS) and len(
        {marker for _, marker in LOOKS.values()}
    ) == len(LOOKS)


def test_survival_draws_each_family_at_its_greatest_depth(frame):
    data = figures.survival(drafted(frame), "survival", "T.").data
    spiffy = data[(data.family == family(decoder="spiffy")) & (data.model == "tiny")]
    spiffy = spiffy.set_index("depth")
    assert list(spiffy.survival) == [0.5, 1.0, 0.0] and list(spiffy.n) == [8, 4, 4]
