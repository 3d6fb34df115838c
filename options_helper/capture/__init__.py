"""The recorder: what to record, when, and the engine that writes it."""
