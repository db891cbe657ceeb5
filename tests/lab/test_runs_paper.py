"""Tier paper from end to end on tiny checkpoints in the released shapes, and what it says where
something is missing.
"""

import json
import shutil
from dataclasses import replace

import pytest

from psd_lab import cli, paths
from psd_lab.runs import ExperimentConfig, Tier, checks, estimate
from psd_lab.runs import reproduce as job
from psd_lab.runs.store import read_published
from psd_lib.errors import UserError

pytestmark = pytest.mark.filterwarnings(
    "ignore:gsm8k test has 2 rows"
)  # made up here, and said so by the loader
ROWS = [
    {"question": "w3 w4 w5 ?", "answer": "w6 w7\n#### 12"},
    {"question": "w8 w9 ?", "answer": "w5\n#### 7"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three checkpoints and a benchmark, as a user would have them on disk."""
    from psd_lib.testing import save_checkpoint, tiny_model

    folder = tmp_path_factory.mktemp("made")
    for name, family in (("tiny-llada", "llada"), ("tiny-dream", "Dream"), ("tiny-sdar", "sdar")):
        one = save_checkpoint(tiny_model(7, family=family), folder / name)
        config = json.loads((one / "config.json").read_text())
        longer = {
            key: 4096 for key in ("max_sequence_length", "max_position_embeddings") if key in config
        }
        (one / "config.json").write_text(json.dumps(config | longer))
        tokenizer = json.loads((one / "tokenizer_config.json").read_text())
        (one / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"bos_token": "w3"}))
    (folder / "data" / "gsm8k").mkdir(parents=True)
    (folder / "data" / "gsm8k" / "test.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in ROWS)
    )
    return folder


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """A copy of these in a folder of the test's own, where its results go too."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def tier(home, **changes):
    models = [str(home / name) for name in ("tiny-llada", "tiny-dream", "tiny-sdar")]
    paper = replace(Tier.load("paper"), experiments=None)
    return paper.narrow(
        models=models,
        tasks=("gsm8k",),
        profile="psd-512:cot",
        data_dir=str(home / "data"),
        dtype="float32",
        **changes,
    )


TWO = ExperimentConfig(
    "two",
    "q",
    ("m",),
    ("t",),
    ({"decoder": "greedy"}, {"decoder": "psd", "depth": 1}),
    {"cache": "exact", "gen_length": 32},
)


def test_what_is_decoded_comes_from_the_experiments_and_what_it_runs_on_from_the_tier():
    paper = Tier.load("paper")
    assert paper.models == (
        "GSAI-ML/LLaDA-1.5",
        "Dream-org/Dream-v0-Base-7B",
        "openpangu/openPangu-7B-Diffusion-Base",
    )
    assert (paper.tasks, paper.profile, paper.limit) == (
        ("gsm8k", "humaneval", "mbpp"),
        "psd-512",
        None,
    )
    for name in ("spatial", "temporal", "combined"):
        own, applied = ExperimentConfig.load(name), paper.apply(ExperimentConfig.load(name))
        assert applied.decoders is own.decoders or applied.decoders == own.decoders
        assert (applied.models, applied.tasks) == (paper.models, paper.tasks)


def test_a_narrowed_tier_has_a_folder_of_its_own_and_is_found_there(home):
    mini = Tier.load("mini")
    assert mini.narrow() is mini
    assert mini.narrow(limit=mini.limit) is mini
    assert mini.narrow(limit=3) == Tier.load("mini:3")
    other = mini.narrow(tasks=("mini-gsm",), limit=3)
    assert other.name.startswith("mini@")
    assert other.folder != mini.folder
    assert mini.narrow(tasks=("mini-gsm",), limit=3) == other
    assert other.narrow(limit=4).name not in (other.name, mini.name)
    with pytest.raises(UserError, match=r"Unknown tier"):
        Tier.load(other.name)
    other.save()
    assert Tier.load(other.name) == other
    assert not mini.folder.exists()


@pytest.mark.parametrize(
    "changes", [{"models": ()}, {"tasks": "gsm8k"}, {"limit": 0}, {"models": [1]}]
)
def test_impossible_narrowings_are_refused(changes):
    with pytest.raises(UserError, match=r"of tier 'mini(@......|:0)?' must be"):
        Tier.load("mini").narrow(**changes)


def test_without_a_gpu_or_weights_it_says_what_is_missing_in_one_sentence(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PSD_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    assert cli.main(["reproduce", "--tier", "paper"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in (
        "there is no GPU",
        "at least 24 GB",
        "GSAI-ML/LLaDA-1.5 (revision main) is not in the local cache",
        "openpangu/openPangu-7B-Diffusion-Base",
        "--models",
        "or give a folder",
        "gsm8k is not in",
    ):
        assert part in said
    assert not (tmp_path / "results").exists()


def test_a_large_checkpoint_needs_a_gpu_and_a_small_one_does_not(home, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    checks.check(tier(home), [tier(home).apply(TWO)])
    monkeypatch.setattr(checks, "SMALL", 1)
    with pytest.raises(
        UserError, match=r"tier paper@...... cannot run here: there is no GPU .*tiny-llada"
    ):
        checks.check(tier(home), [tier(home).apply(TWO)])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda home: (home / "tiny-dream" / "model.safetensors").unlink(),
            "tiny-dream is not a checkpoint",
        ),
        (
            lambda home: (home / "data" / "gsm8k" / "test.jsonl").unlink(),
            "gsm8k is not in .*data: gsm8k/test.jsonl",
        ),
    ],
    ids=["no weights", "no data"],
)
def test_missing_weights_and_data_are_named_before_anything_is_decoded(home, damage, sentence):
    damage(home)
    with pytest.raises(UserError, match=f"cannot run here: .*{sentence}"):
        checks.check(tier(home), [tier(home).apply(TWO)])


def test_a_full_disk_is_named_before_anything_is_decoded(home, monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(
        UserError, match=r"rows may need .* GiB and .* has 0.0 GiB free: make room or use --limit"
    ):
        checks.check(tier(home), [tier(home).apply(TWO)])


@pytest.mark.thorough
def test_the_whole_path_on_three_released_shapes(home, monkeypatch, capsys):
    """Checks, estimate, decoding, rows and a notebook's table, on LLaDA's, Dream's and SDAR's names
    and configs.
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    book = home / "notebooks" / "10_two.ipynb"
    book.parent.mkdir()
    cells = [
        new_code_cell('TIER: str = "smoke"', metadata={"tags": ["parameters"]}),
        new_code_cell('TIER, "two"'),
    ]
    nbformat.write(
        new_notebook(
            cells=cells,
            metadata={
                "kernelspec": job.notebooks.KERNEL,
                "language_info": {"name": "python"},
                "psd": {"experiments": ["two"]},
            },
        ),
        book,
    )
    monkeypatch.setattr(job.notebooks, "NOTEBOOKS", book.parent)
    monkeypatch.setattr(job, "names", lambda: ["two"])
    monkeypatch.setattr(ExperimentConfig, "load", classmethod(lambda cls, name: TWO))
    chosen = tier(home, limit=1)
    written = job.reproduce(chosen)
    said = capsys.readouterr().err
    assert "cost estimate on" in said
    costs = json.loads((chosen.folder / estimate.FILE).read_text())
    assert len(costs) == 3 * 2
    assert all(
        0 < cost["hours"] <= cost["most_hours"] and cost["items"] == 1 and cost["ms"] > 0
        for cost in costs
    )
    contents = read_published(chosen.folder / job.PUBLISHED)
    assert f"6 rows in {chosen.folder / job.PUBLISHED}" in written
    rows = list(contents.rows.values())
    assert {
        (row["model"], row["model_family"], row["decode"]["cache"]["name"]) for row in rows
    } == {
        ("tiny-llada", "llada", "none"),
        ("tiny-dream", "Dream", "none"),
        ("tiny-sdar", "sdar", "exact_block"),
    }
    for row in rows:
        assert (row["task"], row["profile"], row["dtype"]) == ("gsm8k", "psd-512:cot", "float32")
        assert (row["decode"]["block_length"], row["decode"]["gen_length"]) == (32, 32)
        assert row["postprocessing"].startswith("flexible")
        assert row["correct"] in (True, False)
        assert row["nfe"] >= 1
    assert (chosen.folder / "notebooks" / book.name).is_file()
    # drafts are exact: psd's tokens are its policy's, and a second run decodes nothing
    monkeypatch.setattr("psd_lib.generate", None)
    assert (
        job.compare(
            contents.rows, {key: row["token_ids_hash"] for key, row in contents.rows.items()}
        )
        == "6 of 6 completions equal the published ones token for token"
    )
    assert (
        estimate.estimate(chosen, [chosen.apply(TWO)]) == "cost estimate: nothing is left to decode"
    )
    assert job.reproduce(chosen, dry_run=True)[0].startswith("nothing was decoded")
