"""Measurements of the real product: `xiangyin bench NAME`."""
