"""Hearing and speaking: audio formats, recognisers, synthesisers and their models."""
