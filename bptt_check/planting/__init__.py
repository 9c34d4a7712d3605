"""Mistakes made on purpose: the catalogue shown, one fault in numbers, and faults planted in a right gradient.

A harness that has never been seen to fail proves nothing. What is planted here is what the catalogue of faults says,
or, where no cell is recognised, what can go wrong with any array.
"""
