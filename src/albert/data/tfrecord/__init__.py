"""The original's TFRecord files of masked examples, read and written."""
