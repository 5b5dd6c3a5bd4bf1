"""The study of data-free scores: how well each one predicts the reconstruction error, and what it costs."""
