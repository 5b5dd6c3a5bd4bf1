"""The study of proxies: how well each one predicts the reconstruction error, and what it costs."""
