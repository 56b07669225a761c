"""Figures of structures, proxies and samplers."""
