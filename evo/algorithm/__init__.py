"""The evolutionary algorithm as pure functions: NSGA-II's ask and tell, individuals, and selection."""
