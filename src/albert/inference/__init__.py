"""Trained models in use: opening them, pipelines, number types, vectors of texts, files of predictions."""
