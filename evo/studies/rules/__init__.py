"""The search for a rule: a law from size and budget to topology, evolved at several sizes and budgets at once."""
