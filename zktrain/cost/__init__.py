"""What a proof costs, counted from its statement and priced by measurement.

``counts`` lists what the prover does, out of ``parts``; ``sizes`` the bytes of the bundle,
``memory`` what is held at once; ``calibration`` has the seconds per unit of each, fitted to real
runs; ``estimate`` puts them together. Nothing here needs more than numpy.
"""
