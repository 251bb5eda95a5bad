"""Classification and regression of texts and pairs: records, files, solver."""
