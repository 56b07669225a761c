"""What the verbs do, as functions of typed settings and objects."""
