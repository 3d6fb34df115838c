"""The threads that hold the connections, the queue between them and the consumer, and when to try again.

In: streamers. Out: frames to take, and each stream's health. Imports `connection`, `state`,
`model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "frame_queue": ("FrameQueue", "QueueCounts"),
    "shared_source": ("SharedConnections",),
    "stream_config": ("LiveStreamConfig", "StreamRequest", "requests_for"),
    "stream_group": ("StreamGroup", "with_ledger"),
    "stream_source": ("AlpacaSource", "JoinedSources", "StreamSource", "named_source", "require_offered"),
    "worker": ("RetryPolicy",),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {"consumer_round": ("ConsumerRound", "Gather", "Task"), "stream_config": ("StreamRequest",)}
