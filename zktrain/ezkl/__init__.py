"""The second backend: every step of training proved by ezkl, one Halo2 proof per step."""
