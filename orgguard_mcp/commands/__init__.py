"""The commands of the command line, one module each: from options to an exit code."""
