"""Weights of any form to a model folder, and the folder to a release."""
