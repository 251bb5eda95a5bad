"""Pretraining: settings, data, objective, the run, its watch, plans and recipes."""
