"""Fine-tuning on a task: settings, plan, run, collapse, report."""
