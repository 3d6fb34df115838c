"""The stream engine: plan the subscriptions, stream the events, fold them into state."""
