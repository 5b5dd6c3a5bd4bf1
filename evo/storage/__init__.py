"""What is kept of a run: journal, header, evaluations, checkpoints, history, champion file and log."""
