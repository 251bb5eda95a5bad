"""The text and the pretraining stages of `albert demo`."""
