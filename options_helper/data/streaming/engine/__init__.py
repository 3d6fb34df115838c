"""The threads that hold the connections, and the queue between them and the consumer."""
