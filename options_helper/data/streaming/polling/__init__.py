"""What is asked for over REST beside the streams, each in a thread of its own."""
