"""What is checked before a command is loaded: a wrong path or column is answered at once.

The commands check again, and more. Nothing here loads torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from albert.checkpoint.layout import selected_model, written_record
from albert.commands.settings.bench import BenchSettings
from albert.commands.settings.convert import ConvertSettings
from albert.commands.settings.demo import DemoSettings
from albert.commands.settings.embed import EmbedSettings
from albert.commands.settings.evaluate import RETRIEVAL, EvaluateSettings
from albert.commands.settings.fill_mask import FillMaskSettings
from albert.commands.settings.info import InfoSettings
from albert.commands.settings.predict import PredictSettings
from albert.config import PUBLISHED_VOCAB_SIZE, AlbertConfig
from albert.conversion.release import refuse_filled
from albert.demo.state import State
from albert.distillation.settings import DistillSettings
from albert.errors import DataError
from albert.hub import local_path
from albert.pretraining.settings import PretrainSettings
from albert.tasks.catalogue import TASKS, find_task, solver_of
from albert.tasks.files import find_files
from albert.tasks.tables import Columns, table_rows
from albert.tasks.task import ColumnSettings, columns_of, with_columns
from albert.text.tokenizer import AlbertTokenizer
from albert.training.record import check_output, settings_as_json


def check(settings: object) -> None:
    """Check the files that the settings of a command name, as far as that takes no time.

    Raises:
        AlbertError: A file, a task or a column is missing.
    """
    _CHECKS.get(type(settings), lambda _: None)(settings)


def _check_predict(settings: PredictSettings) -> None:
    folder = _check_model(settings.model)
    if settings.input is not None:
        _check_input(settings.input)
        if settings.input.suffix != ".txt":
            _check_examples(
                settings.task, settings.input, split=settings.split, columns=settings.columns, model=folder
            )


def _check_evaluate(settings: EvaluateSettings) -> None:
    folder = None if settings.model is None else _check_model(settings.model)
    if settings.task == RETRIEVAL:
        return
    if settings.data is None:
        find_task(settings.task)
    else:
        _check_examples(
            settings.task, settings.data, split=settings.split, columns=settings.columns, model=folder
        )


def _check_convert(settings: ConvertSettings) -> None:
    refuse_filled(settings.output)
    _check_model(settings.source)


def _check_distill(settings: DistillSettings) -> None:
    from albert.data.recognition import find_raw_files  # Loads pyarrow, which the others do not need.

    _check_model(settings.teacher)
    find_raw_files(settings.input)
    check_output(settings.output, command="distill", settings=settings_as_json(settings))
    if settings.student.tokenizer is not None:
        AlbertTokenizer.from_pretrained(settings.student.tokenizer)


def _check_embed(settings: EmbedSettings) -> None:
    _check_model(settings.model)
    if settings.input is not None:
        _check_input(settings.input)
        if settings.input.suffix != ".txt":
            columns = Columns(required=(settings.text_column,), how_to_name="--text-column")
            next(table_rows(settings.input, columns), None)


def _check_pretrain(settings: PretrainSettings) -> None:
    from albert.pretraining.shape import check_pretraining  # Loads pyarrow, which the others do not need.

    check_pretraining(settings)


_CHECKS: Mapping[type, Callable[[Any], object]] = MappingProxyType(
    {
        BenchSettings: lambda settings: AlbertConfig.of_size(settings.size, vocab_size=PUBLISHED_VOCAB_SIZE),
        ConvertSettings: _check_convert,
        DistillSettings: _check_distill,
        DemoSettings: lambda settings: State.read(settings.output),
        EmbedSettings: _check_embed,
        EvaluateSettings: _check_evaluate,
        FillMaskSettings: lambda settings: _check_model(settings.model),
        InfoSettings: lambda settings: _check_model(settings.model),
        PredictSettings: _check_predict,
        PretrainSettings: _check_pretrain,
    }
)


def _check_input(path: Path) -> None:
    if not path.exists():
        raise DataError(f"--input {path}: no such file")


def _check_model(source: str) -> Path | None:
    """Return the folder that a model is in, if it is a folder.

    Raises:
        CheckpointError: There is no such path, nor can it be the id of a model on the Hub.
    """
    if Path(f"{source}.index").is_file():
        return None
    path = local_path(source)
    return selected_model(path) if path.is_dir() else None


def _check_examples(
    name: str | None, data: Path, *, split: str, columns: ColumnSettings, model: Path | None
) -> None:
    """Check that a file of examples has the columns that are read.

    Args:
        name: The task; None for the one that the model was trained for.
        data: The file, or the folder with the files.
        split: Split that is read.
        columns: Columns given by flags.
        model: The model's folder, whose record says which columns it was trained on.

    Raises:
        AlbertError: There is no such task, file or column.
    """
    record = {} if model is None else written_record(model)
    name = record.get("task") if name is None else name
    if name not in TASKS and record.get("task") == name:
        return  # A model from elsewhere: only the command itself can tell what it is for.
    task = find_task(str(name))
    trained = columns_of(record) if record.get("task") == task.name else ColumnSettings()
    task = with_columns(with_columns(task, trained), columns)
    paths = (data,) if data.is_file() else find_files(task, data, split)
    for path in paths:
        if path.suffix in {".tsv", ".csv", ".jsonl"}:
            next(solver_of(task).rows(task, (path,), split=split, labelled=False), None)
