"""Holds what methods keep of the keys to choose by: digests of pages, labels, codes, hash tables, factors, moments.

Each is built once from the prompt and grown by one token in every decode step.
"""
