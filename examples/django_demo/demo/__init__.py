"""The demonstration project: upload a file, see it analysed by a worker."""
