"""Language without a network, a store or a state: encoder, dialect, and how recognisers mishear."""
