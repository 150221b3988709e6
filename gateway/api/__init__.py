"""HTTP: who may come in, what is asked and answered, and what a failure becomes."""
