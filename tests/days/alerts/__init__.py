"""Two programs of one account that judge rules and send what fired: their world, their shells, their oracle."""
