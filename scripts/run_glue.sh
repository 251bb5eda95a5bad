#!/usr/bin/env bash
# Fine-tunes on eight tasks of GLUE with the settings that were published with ALBERT base v1.
#
#   ALBERT_ROOT=... scripts/run_glue.sh [more flags of albert.run_classifier]
#
# ALBERT_ROOT   folder with glue/ (the folders of the tasks), vocab.txt and 30k-clean.model
# OUTPUT_DIR    folder for the results, with one folder per task; default $ALBERT_ROOT/glue_results
# MODEL         TF-Hub handle or folder, or Hub id; default https://tfhub.dev/google/albert_base/1
# TASKS         tasks to run; default all eight
# PYTHON        Python interpreter; default python
#
# One process trains a task while another one evaluates it, keeps the best checkpoint and removes the others. If
# stopped at any moment, the same command continues; finished tasks are only evaluated once more. Flags after the
# name of the script go to both processes and override the others.
# Source of the numbers: run_glue.sh of google-research/albert; Lan et al. (2020), table 14.
set -euo pipefail

: "${ALBERT_ROOT:?names the folder that holds glue/, vocab.txt and 30k-clean.model}"
output_dir=${OUTPUT_DIR:-$ALBERT_ROOT/glue_results}
model=${MODEL:-https://tfhub.dev/google/albert_base/1}
python=${PYTHON:-python}
more=("$@")

stop_all() {
  local jobs
  jobs=$(jobs -p)
  # shellcheck disable=SC2086  # one word per process
  [ -z "$jobs" ] || kill $jobs 2>/dev/null || true
}
trap stop_all EXIT

# run_task TASK WARMUP_STEPS LEARNING_RATE STEPS STEPS_BETWEEN_CHECKPOINTS BATCH_SIZE
run_task() {
  case " ${TASKS:-$1} " in *" $1 "*) ;; *) return 0 ;; esac
  local common=(
    --albert_hub_module_handle="$model"
    --data_dir="$ALBERT_ROOT/glue"
    --output_dir="$output_dir/$1"
    --vocab_file="$ALBERT_ROOT/vocab.txt"
    --spm_model_file="$ALBERT_ROOT/30k-clean.model"
    --do_lower_case
    --max_seq_length=512
    --optimizer=adamw
    --task_name="$1"
    --warmup_step="$2"
    --learning_rate="$3"
    --train_step="$4"
    --save_checkpoints_steps="$5"
    --train_batch_size="$6"
    "${more[@]}"
  )
  "$python" -m albert.run_classifier "${common[@]}" --do_train --nodo_eval --nodo_predict &
  local trainer=$!
  "$python" -m albert.run_classifier "${common[@]}" --nodo_train --do_eval --do_predict &
  local evaluator=$!
  wait "$trainer"
  wait "$evaluator"
}

run_task SST-2 1256 1e-5 20935 100 32
run_task MNLI 1000 3e-5 10000 100 128
run_task CoLA 320 1e-5 5336 100 16
run_task QNLI 1986 1e-5 33112 200 32
run_task QQP 1000 5e-5 14000 100 128
run_task RTE 200 3e-5 800 100 32
run_task STS-B 214 2e-5 3598 100 16
run_task MRPC 200 2e-5 800 100 32
