"""What a run says about itself to others: heartbeat, reports, metrics."""
