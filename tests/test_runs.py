"""Run folders: config first, whole files, exact checkpoints."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from naics_graph.errors import ArtifactMismatchError, DataError
from naics_graph.runs import Run, RunData, replacing


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "first", "seed: 0\n")


def test_the_configuration_is_there_before_any_work(run: Run) -> None:
    assert run.config_file.read_text(encoding="utf-8") == "seed: 0\n"
    assert run.id == "first"


def test_a_run_is_not_started_over(run: Run) -> None:
    with pytest.raises(DataError, match="exists already") as caught:
        Run.create(run.folder, "seed: 1\n")
    assert "--resume first" in caught.value.do
    assert run.config_file.read_text(encoding="utf-8") == "seed: 0\n"


@pytest.mark.parametrize("name", ["", "..", "a b", "-x", "a" * 101])
def test_a_name_that_is_no_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no run id"):
        Run.create(tmp_path / "runs" / (name or " "), "")


def test_resuming_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run gone"):
        Run.resume(tmp_path / "gone")


def test_a_checkpoint_comes_back_bit_for_bit_and_the_latest_wins(run: Run) -> None:
    for epoch in (1, 2, 3):
        tensors = {"w": torch.randn(3, 4, generator=torch.Generator().manual_seed(epoch))}
        run.save_checkpoint("contrast", epoch, tensors, {"epoch": epoch})
    checkpoint = run.latest_checkpoint("contrast")
    assert checkpoint is not None
    assert checkpoint.epoch == 3
    expected = torch.randn(3, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(checkpoint.tensors["w"], expected)
    assert run.latest_checkpoint("refine") is None


def test_a_checkpoint_cut_off_before_its_json_does_not_count(run: Run) -> None:
    run.save_checkpoint("contrast", 1, {"w": torch.zeros(1)}, {})
    run.save_checkpoint("contrast", 2, {"w": torch.ones(1)}, {})
    (run.folder / "checkpoints" / "contrast" / "2.json").unlink()
    checkpoint = run.latest_checkpoint("contrast")
    assert checkpoint is not None
    assert checkpoint.epoch == 1


def test_a_damaged_checkpoint_is_named(run: Run) -> None:
    run.save_checkpoint("contrast", 1, {"w": torch.zeros(1)}, {})
    (run.folder / "checkpoints" / "contrast" / "1.safetensors").write_bytes(b"torn")
    with pytest.raises(ArtifactMismatchError, match="cannot be read"):
        run.latest_checkpoint("contrast")


def test_metrics_logged_after_the_checkpoint_are_forgotten_on_resume(run: Run) -> None:
    run.log("encode", 9, 9, {"x": 1.0})
    run.save_checkpoint("contrast", 1, {"w": torch.zeros(1)}, {})
    run.log("contrast", 1, 10, {"loss": 2.0})
    run.log("contrast", 2, 20, {"loss": 1.0})
    with run.metrics_file.open("a", encoding="utf-8") as file:
        file.write('{"stage": "contr')
    run.latest_checkpoint("contrast")
    records = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [(r["stage"], r["epoch"]) for r in records] == [("encode", 9), ("contrast", 1)]
    run.close()


def test_events_have_a_file_of_their_own_and_are_forgotten_alike(run: Run) -> None:
    for epoch, step in ((1, 3), (2, 8)):
        run.log_event("contrast", epoch, step, f"at step {step}")
    run.save_checkpoint("contrast", 1, {"w": torch.zeros(1)}, {})
    run.latest_checkpoint("contrast")
    records = [json.loads(line) for line in run.events_file.read_text().splitlines()]
    assert records == [{"stage": "contrast", "epoch": 1, "step": 3, "event": "at step 3"}]


def test_other_data_is_refused_on_resume(run: Run) -> None:
    data = RunData("2022", "abc")
    other = Run.create(run.folder.with_name("other"), "", data)
    assert other.data() == data
    other.require_data(data)
    for wrong in (RunData("2022", "abd"), RunData("2017", "abc")):
        with pytest.raises(ArtifactMismatchError, match=r"was started on vintage 2022 .* abc") as e:
            other.require_data(wrong)
        assert f"holds vintage {wrong.vintage} in version {wrong.version}," in e.value.saw


def test_a_run_killed_before_its_settings_are_written_is_none_and_leaves_its_name(
    tmp_path: Path,
) -> None:
    data, folder = RunData("2022", "abc"), tmp_path / "killed"
    with pytest.raises(UnicodeEncodeError):
        Run.create(folder, "no text: \udc80", data)
    assert [path.name for path in folder.iterdir()] == ["data.json"]
    with pytest.raises(DataError, match="no run killed"):
        Run.resume(folder)
    assert Run.create(folder, "", RunData("2022", "abd")).data().version == "abd"


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"3", b'{"vintage": "2022"}', b"\xff"], ids=str
)
def test_a_run_that_does_not_say_what_it_was_started_on_is_not_continued(
    run: Run, content: bytes | None
) -> None:
    if content is not None:
        run.data_file.write_bytes(content)
    with pytest.raises(ArtifactMismatchError, match="cannot be read") as caught:
        run.require_data(RunData("2022", "abc"))
    assert caught.value.where == str(run.data_file)
    assert caught.value.exit_code == 6
    assert "--run" in caught.value.do


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_steps_have_a_file_of_their_own_and_are_forgotten_alike(run: Run) -> None:
    run.log("contrast", 1, 5, {"loss": 1.0})
    for step in range(1, 8):
        run.log_step("contrast", 1 + (step > 5), step, {"peak_mib": float(step)})
    run.close()
    assert len(run.metrics_file.read_text().splitlines()) == 1
    run.save_checkpoint("contrast", 1, {"w": torch.zeros(1)}, {})
    run.latest_checkpoint("contrast")
    steps = [json.loads(line)["step"] for line in run.steps_file.read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5]


Figures = dict[str, list[tuple[int, float]]]


def recorded(run: Run) -> Figures:
    """What the run's files say: (step, value) by stage/name."""
    figures: Figures = defaultdict(list)
    for path in (run.metrics_file, run.steps_file):
        for record in map(json.loads, path.read_text().splitlines()):
            for name in record.keys() - {"stage", "epoch", "step"}:
                figures[f"{record['stage']}/{name}"].append((record["step"], record[name]))
    return dict(figures)


def on_boards(run: Run) -> Figures:
    """The same as TensorBoard reads it."""
    figures: Figures = {}
    for folder in (run.folder / "tensorboard").iterdir():
        board = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for tag in board.Tags()["scalars"]:
            assert tag.startswith(f"{folder.name}/")
            figures[tag] = [(one.step, one.value) for one in board.Scalars(tag)]
    return figures


def train_on(run: Run, stage: str, epochs: range, value: float, *, saved: int) -> None:
    """Log epochs of four steps, with a checkpoint after each up to `saved`."""
    for epoch in epochs:
        for step in range(4 * epoch - 3, 4 * epoch + 1):
            run.log_step(stage, epoch, step, {"peak_mib": value + step})
        run.log(stage, epoch, 4 * epoch, {"loss": value + epoch, "mrr": value})
        if epoch <= saved:
            run.save_checkpoint(stage, epoch, {"w": torch.zeros(1)}, {})


def test_after_a_kill_tensorboard_shows_every_step_once_as_the_files_do(run: Run) -> None:
    """Stages count their own steps: hiding those of one that are repeated hides none of another."""
    assert run.latest_checkpoint("contrast") is None
    train_on(run, "contrast", range(1, 6), 10.0, saved=5)
    assert run.latest_checkpoint("finetune") is None
    train_on(run, "finetune", range(1, 4), 20.0, saved=1)
    run.log_step("finetune", 4, 13, {"peak_mib": 99.0})
    before = on_boards(run)["contrast/loss"]
    assert before == [(4 * epoch, 10.0 + epoch) for epoch in range(1, 6)], "not lost by a kill"
    # The names of TensorBoard's files are in order from one second to the next.
    time.sleep(1.1)
    resumed = Run.resume(run.folder)
    for stage, epoch in (("contrast", 5), ("finetune", 1)):
        checkpoint = resumed.latest_checkpoint(stage)
        assert checkpoint is not None
        assert checkpoint.epoch == epoch
    train_on(resumed, "finetune", range(2, 4), 30.0, saved=3)
    assert resumed.latest_checkpoint("settle") is None
    train_on(resumed, "settle", range(1, 2), 40.0, saved=1)
    resumed.close()
    run.close()
    shown = on_boards(resumed)
    assert shown == recorded(resumed)
    assert shown["finetune/mrr"] == [(4, 20.0), (8, 30.0), (12, 30.0)]
    assert [step for step, _ in shown["finetune/peak_mib"]] == list(range(1, 13))
    assert shown["contrast/loss"] == before
