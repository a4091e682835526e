"""The workers' console: sign-in, the queue, cases, live."""
