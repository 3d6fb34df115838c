"""The simulator's side of the websocket protocol."""
