"""The work of the verbs as functions of typed settings, called by the command line and the Python API."""
