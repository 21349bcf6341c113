"""Figures, never asserted: ``make bench`` measures Slipway beside a bare proxy, in the same minutes."""
