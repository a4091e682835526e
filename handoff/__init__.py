"""The domain: people, conversations, cases, the queue, and the workers who answer."""
