"""OpenSLO v1: declarations written as its documents, and its documents read as declarations."""
