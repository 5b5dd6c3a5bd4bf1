"""Evolution beside other searchers: the same space, evaluator, founders and core time, errors on test targets."""
