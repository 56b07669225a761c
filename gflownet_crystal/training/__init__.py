"""Training of the networks on atoms: labelled structures, batches of about equal size, and one loop for all tasks."""
