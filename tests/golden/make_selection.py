"""Makes the frozen selection of the numbers of models, optimisers and examples from the full collection.

The collection was produced by google-research/albert at b772393 under TensorFlow 1.15.2.
usage: make_selection.py REFERENCE_FOLDER
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEPS = 5
SPAN_FIELDS = (
    "paragraph_len",
    "start_position",
    "end_position",
    "is_impossible",
    "token_is_max_context",
    "tok_start_to_orig_index",
    "tok_end_to_orig_index",
)
SPAN_WINDOWS = 60
RECORDS = 40
# Tensors that together show every rule of the optimisers: decayed and not, adapted and not.
OPTIMIZED = (
    "bert/embeddings/token_type_embeddings",
    "bert/embeddings/LayerNorm/beta",
    "bert/embeddings/LayerNorm/gamma",
    "bert/encoder/embedding_hidden_mapping_in/kernel",
    "bert/encoder/transformer/group_0/inner_group_0/LayerNorm_1/gamma",
    "bert/encoder/transformer/group_0/inner_group_0/attention_1/self/query/bias",
    "cls/predictions/transform/dense/kernel",
    "cls/seq_relationship/output_weights",
    "cls/seq_relationship/output_bias",
)


def main() -> None:
    """Writes tiny_model.npz, optimizers.npz, lr_schedules.npz, pretrain_data/, squad/ and race/."""
    reference = Path(sys.argv[1])
    tiny = reference / "ckpt_tiny"
    outputs = dict(np.load(tiny / "outputs.npz"))
    for name in ("attention_probs", "all_layer_outputs", "masked_lm_log_probs"):
        del outputs[name]
    gradients = np.load(tiny / "grads_total_loss.npz")
    variables = {f"var/{name}": value for name, value in np.load(tiny / "variables.npz").items()}
    np.savez_compressed(HERE / "tiny_model.npz", **outputs, **variables, **dict(gradients))
    selection: dict[str, np.ndarray] = {}
    for optimizer in ("lamb", "adamw"):
        trace = np.load(reference / "optim" / f"{optimizer}_onehot.npz")
        for name in OPTIMIZED:
            selection[f"{optimizer}/start/{name}"] = variables[f"var/{name}"]
            for step in range(STEPS):
                selection[f"{optimizer}/step{step}/grad/{name}"] = trace[f"step{step}/grad/{name}"]
                selection[f"{optimizer}/step{step}/var/{name}"] = trace[f"step{step}/var/{name}"]
        for key in trace.files:
            if key.endswith(("learning_rate", "global_norm_used")):
                selection[f"{optimizer}/{key}"] = trace[key]
    np.savez_compressed(HERE / "optimizers.npz", **selection)
    schedules = np.load(reference / "optim" / "lr_schedules.npz")
    np.savez_compressed(HERE / "lr_schedules.npz", **dict(schedules))
    select_records(reference / "pretrain_data", HERE / "pretrain_data")
    select_answer_scores(reference / "squad", HERE / "squad")
    select_spans(reference / "squad", HERE / "squad")
    select_choices(reference / "race", HERE / "race")


def select_records(source: Path, target: Path) -> None:
    """Copies the first records of a TFRecord file, byte for byte, and the lines that say what they hold."""
    content = (source / "base128.tfrecord").read_bytes()
    end = 0
    for _ in range(RECORDS):
        end += 8 + 4 + int.from_bytes(content[end : end + 8], "little") + 4
    lines = gzip.decompress((source / "base128.jsonl.gz").read_bytes()).splitlines(keepends=True)
    target.mkdir(exist_ok=True)
    (target / "first_records.tfrecord").write_bytes(content[:end])
    (target / "first_records.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:RECORDS]), 9, mtime=0))


def select_answer_scores(source: Path, target: Path) -> None:
    """Writes the gold answers, the predictions, and what the original scored of them."""
    target.mkdir(exist_ok=True)
    (target / "metric_pairs.jsonl").write_bytes((source / "metric_pairs.jsonl").read_bytes())
    cases: dict[str, object] = {}
    for version in ("v1", "v2"):
        data = json.loads((source / f"{version}_dev.json").read_text(encoding="utf-8"))["data"]
        questions = [qa for article in data for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
        cases[f"{version}_gold"] = {
            qa["id"]: [answer["text"] for answer in qa["answers"]] for qa in questions
        }
    for path in sorted(source.glob("decode_*_eval.json")):
        name = path.name.removesuffix("_eval.json")
        parts = ["predictions", "eval"] if name.startswith("decode_v1") else ["null_odds", "eval"]
        cases[name] = {
            part: json.loads((source / f"{name}_{part}.json").read_text(encoding="utf-8")) for part in parts
        }
    lines = json.dumps(cases, ensure_ascii=False, indent=0)
    (target / "answer_scores.json").write_text(lines + "\n", encoding="utf-8")


def select_spans(source: Path, target: Path) -> None:
    """Copies questions, the original's windows of them, and what it made of fixed logits of the first ones.

    Of the windows stays what cannot be told from the rest, without padding.
    """
    for name in ("configs.json", "v1_dev.json", "v2_dev.json", "v2_train.json"):
        (target / name).write_bytes((source / name).read_bytes())
    for name in ("decode_v1_b_logits", "decode_v2_b_raw"):
        found = np.load(source / f"{name}.npz")
        windows = {key: found[key][:SPAN_WINDOWS] for key in found.files}
        np.savez_compressed(target / f"{name}.npz", **windows)
    name = "features_v2_train_a.jsonl.gz"
    rows = map(json.loads, gzip.decompress((source / name).read_bytes()).splitlines())
    lines = [json.dumps({field: row[field] for field in SPAN_FIELDS} | _trimmed(row)) + "\n" for row in rows]
    (target / name).write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))
    for path in sorted(source.glob("decode_v?_b_*.json")):
        (target / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def _trimmed(row: dict[str, list[int]]) -> dict[str, list[int]]:
    end = row["paragraph_len"]
    return {name: row[name][:end] for name in ("input_ids", "segment_ids", "p_mask")}


def select_choices(source: Path, target: Path) -> None:
    """Copies hand-made passages in the layout of RACE, and the original's features of them."""
    for level in ("middle", "high"):
        folder = target / "data" / "RACE" / "dev" / level
        folder.mkdir(parents=True, exist_ok=True)
        content = (source / "data" / "RACE" / "dev" / level / "all.txt").read_bytes()
        (folder / "all.txt").write_bytes(content)
    (target / "features.jsonl.gz").write_bytes((source / "features.jsonl.gz").read_bytes())


if __name__ == "__main__":
    main()
