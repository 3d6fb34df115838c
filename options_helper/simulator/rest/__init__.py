"""The simulator's side of the REST interface."""
