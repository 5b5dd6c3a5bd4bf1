"""Studies: experiments on the methods themselves, each with a recipe, a table and pictures."""
