"""Twins of the heavy kernels for CUDA devices, one module per family, with the names and results
of the CPU's. Chosen by ``kernels.device``; arrays come from the host and go back to it."""
