"""Fine-tuning on a task: settings, plan, the run, collapse, the report."""
