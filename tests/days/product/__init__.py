"""The product's own parts without their threads: what a thread would do, the agenda does."""
