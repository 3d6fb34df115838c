"""Where the numbers come from: symbols, hours, streams and files."""
