"""The notebook on fine-tuning runs from the first cell to the last, and what it shows is true."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from albert.config import AlbertConfig
from albert.model.language_models import AlbertForPreTraining
from albert.text.tokenizer import AlbertTokenizer
from samples.toy_task import sentences, write_table

NOTEBOOK = Path(__file__).parents[2] / "examples" / "glue_finetuning.ipynb"
HEADER = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
STEPS = 6
# Prints the results of the notebook for the tests.
REPORT = """
import json

agreement = sum(map(str.__eq__, right_labels, predicted_labels)) / len(dev)
found = {"result": result, "scores": scores, "agreement": agreement, "predictions": predictions}
print(json.dumps(found | {"again": again, "own_pairs": own_pairs, "rows": [len(train), len(dev)]}))
"""


def write_model(folder: Path, golden: Path) -> None:
    """Write a tiny random model with enough positions for the notebook's own sentences."""
    tokenizer = AlbertTokenizer.from_pretrained(golden / "tokenization")
    config = AlbertConfig(
        vocab_size=tokenizer.vocab_size,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    AlbertForPreTraining(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_mrpc(folder: Path) -> None:
    """Write pairs in the layout of MRPC's files; two thirds of them are paraphrases."""
    for split, count, seed in (("train", 60, 1), ("dev", 24, 2)):
        texts = [text for text, _ in sentences(2 * count, seed=seed)]
        rows = [
            ("1" if number % 3 else "0", f"{number}", f"{count + number}", texts[number], texts[-number - 1])
            for number in range(count)
        ]
        write_table(folder / "MRPC" / f"{split}.tsv", rows, *HEADER)


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    """The notebook as it is committed."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(
    notebook: nbformat.NotebookNode, tmp_path_factory: pytest.TempPathFactory, golden: Path
) -> tuple[Path, nbformat.NotebookNode]:
    """The notebook after its execution on a tiny model and few pairs, and its working folder."""
    folder = tmp_path_factory.mktemp("notebook")
    write_model(folder / "model", golden)
    write_mrpc(folder / "glue")
    values = {"MODEL": "model", "DATA": "glue", "OUTPUT": "run", "STEPS": STEPS, "WARMUP_STEPS": 2}
    values |= {"EVAL_STEPS": 3, "BATCH_SIZE": 8, "LEARNING_RATE": 1e-3, "MAX_SEQ_LENGTH": 48}
    small = nbformat.from_dict(json.loads(json.dumps(notebook)))
    (place,) = (
        number for number, cell in enumerate(small.cells) if "parameters" in cell.metadata.get("tags", ())
    )
    injected = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    small.cells.insert(place + 1, nbformat.v4.new_code_cell(injected))
    small.cells.append(nbformat.v4.new_code_cell(REPORT))
    with pytest.MonkeyPatch.context() as patch:
        # Kernel and plots keep files of their own, which do not belong in a home directory.
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        NotebookClient(small, timeout=200, resources={"metadata": {"path": str(folder)}}).execute()
    return folder, small


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def found(executed: tuple[Path, nbformat.NotebookNode]) -> dict[str, Any]:
    return json.loads(printed(executed[1].cells[-1]))


def test_the_notebook_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 8
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    nbformat.validate(notebook)


def test_the_notebook_fine_tunes_and_leaves_the_best_model(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    folder, _ = executed
    assert (folder / "run" / "best" / "model.safetensors").is_file()
    results = found(executed)
    assert results["result"]["steps"] == STEPS
    assert results["rows"] == [60, 24]
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["inputs"]["recipe"]["learning_rate"] == 1e-3


def test_the_notebook_scores_the_model_that_fine_tuning_called_the_best(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    results = found(executed)
    for name in ("accuracy", "f1", "loss"):
        assert results["scores"][name] == pytest.approx(results["result"]["best"][name], abs=1e-5)
    assert results["agreement"] == pytest.approx(results["scores"]["accuracy"])


def test_the_notebook_draws_lengths_curves_and_confusions(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    outputs = {cell.id: cell.outputs for cell in executed[1].cells if cell.cell_type == "code"}
    for name in ("histogram", "plot", "confusion"):
        assert any("image/png" in output.get("data", {}) for output in outputs[name]), name
    errors = [output for some in outputs.values() for output in some if output.output_type == "error"]
    assert not errors


def test_the_notebook_shows_pairs_as_tokens_with_their_segments(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    (cell,) = (cell for cell in executed[1].cells if cell.id == "tokenize")
    first, second = printed(cell).splitlines()
    assert re.fullmatch(r"segment 0: \[CLS\] .+ \[SEP\]", first)
    assert re.fullmatch(r"segment 1: .+ \[SEP\]", second)


def test_predictions_of_the_notebook_are_those_of_transformers(
    executed: tuple[Path, nbformat.NotebookNode], notebook: nbformat.NotebookNode
) -> None:
    results = found(executed)
    (text,) = (cell.source for cell in notebook.cells if cell.id == "transformers")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"best": executed[0] / "run" / "best", "own_pairs": results["own_pairs"]}
    exec(code, names)
    expected = [
        names["theirs"]({"text": first, "text_pair": second}) for first, second in results["own_pairs"]
    ]
    for ours, theirs in zip(
        [*results["predictions"], results["again"]], [*expected, expected[0]], strict=True
    ):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
