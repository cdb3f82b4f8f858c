"""The logic of every saver, without I/O: operations yield requests, a backend answers them."""
