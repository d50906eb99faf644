"""Detection: from the text of a change to the organisation names that it may bring in."""
