"""Trainings in run folders: weights and their model cards out."""
