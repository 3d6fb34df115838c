"""The fold: events and fills in, an immutable snapshot out; no thread, socket or clock."""
