"""albert_zh's scripts of data and pretraining run unchanged; modules that people import exist."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import albert
from albert import export_to_tfhub, run_classifier_sp_google, run_pretraining, run_pretraining_google
from albert.create_pretraining_data import main as create
from albert.data.tfrecord.files import RecordFile
from albert.data.tfrecord.masked_records import parse_records, room_of_record
from samples.finetuning_files import write_albert_zh
from samples.original_files import SHAPE, random_model, write_tensorflow

MASK_ID = 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of albert_zh's download."""
    return write_albert_zh(tmp_path / "albert_tiny_zh")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Documents of Chinese sentences, one a line, that jieba cuts into words of two characters."""
    path = tmp_path / "news_zh_1.txt"
    sentence = "一丁七万丈三上下不与"
    documents = ["\n".join(sentence[start:] + sentence[:start] for start in range(6)) for _ in range(4)]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


def settings_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text())["settings"])


def make_records(text: Path, model: Path, output: Path, *more: str) -> Path:
    arguments = [
        f"--input_file={text}",
        f"--output_file={output}",
        f"--vocab_file={model / 'vocab.txt'}",
        *more,
    ]
    assert create([*arguments, "--do_lower_case=True", "--masked_lm_prob=0.3"]) == 0
    return output


def test_its_script_of_data_masks_whole_words_of_jieba(
    text: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell_script = ["--do_whole_word_mask=True", "--max_seq_length=32", "--max_predictions_per_seq=9"]
    made = make_records(text, model, tmp_path / "tf_news.tfrecord", *shell_script)
    assert "taken for albert_zh's script: whole words by jieba, no n-grams" in capsys.readouterr().err
    file = RecordFile(made)
    messages = [file.read(start) for start in file.find_starts().tolist()]
    assert room_of_record(messages[0]) == (32, 9)
    examples = parse_records(messages, vocab_size=125, max_seq_length=32)
    assert set(examples.sentence_order_labels.tolist()) <= {-100, 0, 1}
    # Ten passes over the text, which is much less than the forty of the original.
    original = make_records(text, model, tmp_path / "original.tfrecord", *shell_script[1:], "--ngram=1")
    assert "taken for" not in capsys.readouterr().err
    count, more = len(messages), len(RecordFile(original).find_starts())
    assert 3 * count < more < 6 * count


def test_text_that_is_not_chinese_has_the_words_of_the_vocabulary(
    text: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in ("--non_chinese=True", "--non_chinese"):
        made = make_records(text, model, tmp_path / "one.tfrecord", flag)
        assert room_of_record(RecordFile(made).read(0))[0] == 128
    assert "taken for" not in capsys.readouterr().err


SMALL = [
    "--max_seq_length=32", "--max_predictions_per_seq=9", "--train_batch_size=4", "--num_train_steps=2",
    "--num_warmup_steps=1", "--learning_rate=0.00176", "--save_checkpoints_steps=2000",
]  # fmt: skip


def test_its_script_of_pretraining_starts_from_its_weights(
    text: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = make_records(text, model, tmp_path / "tf.tfrecord", "--do_whole_word_mask=True", *SMALL[:2])
    readme = [
        f"--input_file={records}", f"--output_dir={tmp_path / 'run'}", "--do_train=True", "--do_eval=True",
        f"--bert_config_file={model / 'albert_config_tiny.json'}", *SMALL,
        f"--init_checkpoint={model / 'albert_model.ckpt'}",
    ]  # fmt: skip
    assert run_pretraining.main(readme) == 0, capsys.readouterr().err
    assert "masked_lm_accuracy" in (tmp_path / "run" / "eval_results.txt").read_text()
    opened = albert.AlbertForPreTraining.from_pretrained(tmp_path / "run" / "model")
    assert not opened.config.has_map  # as albert_zh's own family is converted


def test_its_script_of_pretraining_starts_at_random_with_its_defaults(
    text: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = make_records(text, model, tmp_path / "tf.tfrecord", "--do_whole_word_mask=True", *SMALL[:2])
    flags = [f"--input_file={records}", f"--bert_config_file={model / 'albert_config_tiny.json'}"]
    run = tmp_path / "run"
    assert run_pretraining.main([*flags, f"--output_dir={run}", "--do_train", *SMALL[:5]]) == 0
    assert (
        "read as the original's ALBERT, whose embeddings of width 6 are mapped to 8"
        in capsys.readouterr().err
    )
    assert settings_of(run)["optimizer"]["learning_rate"] == 5e-5
    assert albert.AlbertForPreTraining.from_pretrained(run / "model").config.has_map
    nothing = run_pretraining.main([*flags, f"--output_dir={tmp_path / 'other'}"])
    assert nothing == 2
    assert "nothing to do; give --do_train or --do_eval" in capsys.readouterr().err
    preln = model / "preln.json"
    preln.write_text(json.dumps({**SHAPE, "ln_type": "preln"}))
    flags[1] = f"--bert_config_file={preln}"
    assert run_pretraining.main([*flags, f"--output_dir={tmp_path / 'other'}", "--do_train"]) == 1
    assert "ln_type is 'preln'" in capsys.readouterr().err


@pytest.mark.parametrize("width", [None, 8])
def test_a_width_that_is_missing_or_wrong_is_that_of_the_weights(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], width: int | None
) -> None:
    checkpoint = write_tensorflow(tmp_path / "albert_tiny_zh_google" / "albert_model.ckpt", random_model())
    shape = {key: value for key, value in {**SHAPE, "embedding_size": width}.items() if value is not None}
    config = tmp_path / "albert_config_tiny_g.json"
    config.write_text(json.dumps(shape))
    run = tmp_path / "run"
    flags = [
        f"--input_file={records}", f"--output_dir={run}", f"--albert_config_file={config}", "--export_dir=e",
        f"--init_checkpoint={checkpoint}", "--train_batch_size=4", "--num_train_steps=1",
        "--max_seq_length=128",
    ]  # fmt: skip
    assert run_pretraining_google.main(flags) == 0
    found = "missing" if width is None else width
    shown = capsys.readouterr().err
    assert f"embedding_size is {found}; using 6, the width of the weights" in shown
    assert "without effect here: --export_dir" in shown
    assert albert.AlbertForPreTraining.from_pretrained(run / "model").config.embedding_size == 6


def test_two_names_of_the_configuration_must_agree(
    records: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--input_file={records}", f"--output_dir={tmp_path / 'run'}"]
    assert run_pretraining_google.main(flags) == 2
    assert "--albert_config_file must be given" in capsys.readouterr().err
    both = [f"--albert_config_file={config_file}", "--bert_config_file=other.json"]
    assert run_pretraining_google.main([*flags, *both]) == 2
    assert "name two files; give one of them" in capsys.readouterr().err


def test_its_classifier_for_sentencepiece_runs(
    tokenizer_folder: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_tensorflow(tmp_path / "albert" / "model.ckpt-best", random_model())
    data = tmp_path / "lcqmc"
    data.mkdir()
    for split in ("train", "dev", "test"):
        rows = [f"value {number}\ttype {number}\t{number % 2}" for number in range(6)]
        (data / f"{split}.txt").write_text(
            "text_a\ttext_b\tlabel\n" + "\n".join(rows) + "\n", encoding="utf-8"
        )
    flags = [
        "--task_name=lcqmc_pair", "--do_train", "--do_eval", "--do_predict", f"--data_dir={data}",
        f"--albert_config_file={config_file}", f"--vocab_file={tokenizer_folder / 'x.vocab'}",
        f"--spm_model_file={tokenizer_folder / 'spiece.model'}", f"--init_checkpoint={checkpoint}",
        "--num_train_epochs=1", "--train_batch_size=4", "--max_seq_length=32",
        f"--output_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    assert run_classifier_sp_google.main(flags) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "submit_results.tsv").is_file()
    assert " None given" not in capsys.readouterr().err
    assert run_classifier_sp_google.main([*flags, "--use_pooled_output=false"]) == 1
    assert "--use_pooled_output=false is not supported" in capsys.readouterr().err


def test_the_tokenizer_is_imported_by_its_old_name(tokenizer_folder: Path) -> None:
    from albert import tokenization

    tokenizer = tokenization.FullTokenizer(
        vocab_file=None, do_lower_case=True, spm_model_file=tokenizer_folder / "spiece.model"
    )
    tokens = tokenizer.tokenize("The value [SEP]")
    known = albert.AlbertTokenizer.from_pretrained(tokenizer_folder)
    assert tokens == known.tokenize("The value [SEP]", split_special_tokens=True)
    ids = tokenizer.convert_tokens_to_ids(tokens)
    assert tokenizer.convert_ids_to_tokens(ids) == [known.convert_ids_to_tokens(id_) for id_ in ids]
    assert tokenization.convert_to_unicode("é".encode()) == tokenization.printable_text("é") == "é"


def test_the_configuration_is_imported_by_its_old_name(config_file: Path) -> None:
    from albert.modeling import AlbertConfig

    config = AlbertConfig.from_json_file(str(config_file))
    assert config == albert.AlbertConfig.from_dict(SHAPE)
    assert json.loads(config.to_json_string())["hidden_size"] == 8


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("modeling", "AlbertModel", "albert.AlbertModel is a module of PyTorch"),
        ("optimization", "create_optimizer", "albert.optim.optimizers.make_optimizer"),
        ("tokenization", "preprocess_text", "AlbertTokenizer cleans every text"),
    ],
)
def test_names_without_a_counterpart_say_what_to_use(module: str, name: str, message: str) -> None:
    old = importlib.import_module(f"albert.{module}")
    with pytest.raises(ImportError, match=f"albert.{module}.{name} is not offered: .*{message}"):
        getattr(old, name)
    with pytest.raises(ImportError, match="is not offered"):
        exec(f"from albert.{module} import {name}")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = old.nothing
    assert importlib.import_module("albert.optim.optimizers").make_optimizer


def test_a_tf_hub_module_is_not_written_but_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    assert export_to_tfhub.main(["--albert_directory=x", "--export_path=y"]) == 1
    assert "albert convert CHECKPOINT FOLDER writes a model folder" in capsys.readouterr().err
