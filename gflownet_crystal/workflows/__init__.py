"""The work of the verbs as functions of typed settings: what the command line and the Python API both call."""
