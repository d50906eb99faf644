"""A name that is out already: where it stands in what a clone keeps, and what can be done."""
