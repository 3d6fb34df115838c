"""One socket: the SDK's connection, its frames, and the dialogue that subscribes."""
